# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From a detection's small mask to probabilities at the pixels of its slice, by the rule of the service.

The service has its own code for this (`appliance/findings/masks.py`, on any matrix), which nothing here may import;
a test holds the two together.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

BLOOD: Final = 0.5
"""The probability from which a pixel belongs to the mask."""


def pasted(
    box: NDArray[np.floating], mask: NDArray[np.float32], shape: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """Return the window of a slice of `shape` (rows, columns) that a box covers, and the probability of blood in it.

    Pixels whose centre lies in the box [4] (y1, x1, y2, x2) take the bilinear value between the centres of the cells
    of `mask` [M, N]; where none does, the pixel in its middle.
    """
    y1, x1, y2, x2 = (float(edge) for edge in box)
    rows, in_box_y = _centres(y1, y2, shape[0])
    columns, in_box_x = _centres(x1, x2, shape[1])
    probability = between_cells(between_cells(np.asarray(mask, np.float32), in_box_y).T, in_box_x).T
    return (rows, columns), probability


def blood(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels of a pasted mask are blood: from one half on, or the most probable one where none is."""
    found = probability >= BLOOD
    if not found.any():
        found[np.unravel_index(int(np.argmax(probability)), found.shape)] = True
    return np.asarray(found)


def _centres(low: float, high: float, size: int) -> tuple[slice, NDArray[np.float64]]:
    """Return the pixels of an axis with their centre in [low, high), and where these lie in it as fractions of it."""
    first, last = max(int(np.ceil(low - 0.5)), 0), min(int(np.ceil(high - 0.5)), size)
    if last <= first:
        first = min(max(int((low + high) / 2), 0), size - 1)
        return slice(first, first + 1), np.array([0.5])
    return slice(first, last), np.asarray((np.arange(first, last) + 0.5 - low) / (high - low))


def between_cells(cells: NDArray[np.float32], fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `cells` [m, k] read along the first axis at `fractions` of its length, [n, k], bilinearly.

    Past the centres of the outer cells their value holds.
    """
    at = np.clip(fractions * len(cells) - 0.5, 0, len(cells) - 1)
    low = np.floor(at).astype(np.intp)
    high = np.minimum(low + 1, len(cells) - 1)
    share = (at - low).astype(np.float32)[:, None]
    return np.asarray(cells[low] * (1 - share) + cells[high] * share, np.float32)
