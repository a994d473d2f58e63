# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the detector's small masks on the contract grid to blood on a volume's own matrix, and back.

The contract grid is the source's square field (`square`), resized in-plane (paper, "Image Preprocessing"), so a point
of the grid lies at the same fraction of that field's rows and columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import BRIGHTEST_CLOT_HU, MATRIX, HemorrhageType
from appliance.reading.detections import Box, Detection
from appliance.reading.square import SquareField

MASK_THRESHOLD: Final = 0.5
"""The probability of blood from which a voxel belongs to the mask."""
SMOOTHING_MM: Final = 1.0
"""Standard deviation of the smoothing of a slice before a pixel counts as too bright for a clot, mm."""


@dataclass(frozen=True)
class Patch:
    """One detection's mask on its slice: `blood` bool [h, w] and `probability` float32 [h, w] from row `y`, column `x`
    of the volume's matrix."""

    detection: Detection
    type: HemorrhageType
    score: float
    slice_index: int
    y: int
    x: int
    blood: NDArray[np.bool_]
    probability: NDArray[np.float32]

    @property
    def window(self) -> tuple[int, slice, slice]:
        """The patch's place in a volume [Z, Y, X]."""
        height, width = self.blood.shape
        return self.slice_index, slice(self.y, self.y + height), slice(self.x, self.x + width)

    def window_in(self, crop: tuple[slice, slice, slice]) -> tuple[int, slice, slice]:
        """Return the patch's place in a block of the volume that holds it."""
        first, top, left = (int(one.start) for one in crop)
        height, width = self.blood.shape
        y, x = self.y - top, self.x - left
        return self.slice_index - first, slice(y, y + height), slice(x, x + width)


def box_on_matrix(box: Box, matrix: tuple[int, int], pixel_spacing_mm: tuple[float, float] = (1.0, 1.0)) -> Box:
    """Return a box of the contract grid in pixels of a matrix of (rows, columns); it may reach over the matrix."""
    field = SquareField.about(matrix, pixel_spacing_mm)
    scale_y, scale_x = field.rows / MATRIX, field.columns / MATRIX
    return Box(
        box.y1 * scale_y - field.top,
        box.x1 * scale_x - field.left,
        box.y2 * scale_y - field.top,
        box.x2 * scale_x - field.left,
    )


def patch(detection: Detection, matrix: tuple[int, int], pixel_spacing_mm: tuple[float, float] = (1.0, 1.0)) -> Patch:
    """Return a detection's mask on a matrix of (rows, columns) with this distance between rows and columns, mm."""
    box = box_on_matrix(detection.box, matrix, pixel_spacing_mm)
    (rows, columns), probability = paste(box, detection.mask, matrix)
    return Patch(
        detection,
        detection.type,
        detection.score,
        detection.slice_index,
        rows.start,
        columns.start,
        blood(probability),
        probability,
    )


def paste(
    box: Box, mask: NDArray[np.float32], matrix: tuple[int, int]
) -> tuple[tuple[slice, slice], NDArray[np.float32]]:
    """Return the window of a matrix of (rows, columns) that a box on it covers, and the probability of blood there.

    Pixels whose centre lies in the box take the bilinear value between the centres of the cells of `mask` [M, N]; if
    there is none, the pixel in the middle of the box does.
    """
    rows, in_box_y = _centres(box.y1, box.y2, matrix[0])
    columns, in_box_x = _centres(box.x1, box.x2, matrix[1])
    mask = mask.astype(np.float32, copy=False)
    return (rows, columns), _bilinear(_bilinear(mask, in_box_y).T, in_box_x).T


def blood(probability: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which pixels of a pasted mask are blood: from one half on.

    A detection counts by its score, not by its mask (paper, "Statistical Analysis"): if no pixel reaches one half, the
    most probable one represents it, so that whatever makes a study positive can be shown.
    """
    found = probability >= MASK_THRESHOLD
    if not found.any():
        found[_most_probable(probability)] = True
    return np.asarray(found)


def only_clot(one: Patch, hu: NDArray[np.int16], pixel_spacing_mm: tuple[float, float]) -> Patch:
    """Return a patch without the pixels that are brighter than a clot can be: masks run into the inner table.

    `hu` [Y, X] is the patch's slice. A pixel is dropped if both it and the smoothed slice around it lie above
    `BRIGHTEST_CLOT_HU`: noise may lift a pixel of dense clot above it, but not its neighbours too, and the smoothing
    spreads bone into clot beside it, but does not lift the pixel itself. If nothing is left, the most probable pixel
    that may be clot represents the detection (see `blood`); if its box has none, the most probable of all.
    """
    _, rows, columns = one.window
    margins = [int(np.ceil(4 * SMOOTHING_MM / spacing)) for spacing in pixel_spacing_mm]
    y, x = (
        slice(max(0, span.start - margin), span.stop + margin)
        for span, margin in zip((rows, columns), margins, strict=True)
    )
    around = hu[y, x].astype(np.float32)
    sigma = [SMOOTHING_MM / spacing for spacing in pixel_spacing_mm]
    smooth = ndimage.gaussian_filter(around, sigma, mode="nearest", truncate=4)
    bright = ((around > BRIGHTEST_CLOT_HU) & (smooth > BRIGHTEST_CLOT_HU))[
        rows.start - y.start : rows.stop - y.start, columns.start - x.start : columns.stop - x.start
    ]
    left = one.blood & ~bright
    if not left.any():
        left[_most_probable(one.probability if bright.all() else np.where(bright, -1, one.probability))] = True
    return replace(one, blood=left)


def _most_probable(probability: NDArray[np.float32]) -> tuple[np.intp, ...]:
    """Return row and column of the most probable pixel."""
    return np.unravel_index(int(np.argmax(probability)), probability.shape)


def cells(plane: NDArray[np.float32], box: Box, size: int) -> NDArray[np.float32]:
    """Return what a mask should say: `plane` [H, W] at the centres of `size` x `size` cells filling `box`, bilinear.

    There is one sample per cell, as the network samples its features and training its targets.
    """
    cell = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)

    def samples(low: float, high: float, extent: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        first, last = np.float32(low), np.float32(high)
        position = np.clip(first + (last - first) * cell - np.float32(0.5), 0.0, extent - 1.0)
        floor = np.minimum(np.floor(position), extent - 2.0)
        return floor.astype(np.intp), (position - floor).astype(np.float32)

    top, down = samples(box.y1, box.y2, plane.shape[0])
    left, across = samples(box.x1, box.x2, plane.shape[1])
    rows = plane[top] * (1 - down[:, None]) + plane[top + 1] * down[:, None]
    return np.asarray(rows[:, left] * (1 - across) + rows[:, left + 1] * across, np.float32)


def _centres(low: float, high: float, size: int) -> tuple[slice, NDArray[np.float64]]:
    """Return the pixels with their centre in [low, high), and where the centres lie, as fractions of it.

    A box that holds no centre gives the pixel that its middle lies in.
    """
    first, last = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
    first, last = max(first, 0), min(last, size)
    if last <= first:
        first = min(max(int((low + high) / 2), 0), size - 1)
        return slice(first, first + 1), np.array([0.5])
    centres = np.arange(first, last, dtype=np.float64) + 0.5
    return slice(first, last), np.asarray((centres - low) / (high - low))


def _bilinear(cells: NDArray[np.float32], fractions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return `cells` [m, k] read along the first axis at `fractions` of its length, [n, k]; constant past the outer
    cells' centres."""
    at = np.clip(fractions * len(cells) - 0.5, 0, len(cells) - 1)
    low = np.minimum(at.astype(np.intp), max(len(cells) - 2, 0))
    high = np.minimum(low + 1, len(cells) - 1)
    share = (at - low).astype(np.float32)[:, None]
    return np.asarray(cells[low] * (1 - share) + cells[high] * share)
