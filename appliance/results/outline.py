# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The outline of a region on one slice as a closed line along the edges of its pixels, and the region's largest piece.

The line runs on pixel edges, not through pixel centres, so that it encloses exactly the region's pixels, and its holes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MOST_POINTS: Final = 4000
"""Points of one outline. A Graphic Data of a file in Explicit VR holds 8,191; only noise has that many corners."""

_TOUCHING: Final = np.ones((3, 3), np.bool_)
"""Pixels that touch by an edge or by a corner are one piece."""


def largest_piece(region: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], int]:
    """Return the piece of a region [Y, X] with most pixels, of equal ones the first, and how many pieces there are."""
    labels, count = ndimage.label(region, _TOUCHING)
    sizes = np.bincount(labels.ravel(), minlength=2)[1:]
    return np.asarray(labels == 1 + int(np.argmax(sizes))), int(count)


def outline(piece: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the outer outline of one piece [Y, X]: float64 [N, 2], (row, column), the last point equal to the first.

    The first pixel of the plane reaches from 0 to 1. The points are the corners of the line, at most `MOST_POINTS` (a
    longer outline keeps some of its corners, evenly chosen).
    """
    starts_at: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for step, edges in _edges(piece):
        for row, column in edges.tolist():
            starts_at.setdefault((row, column), []).append(step)
    # The first pixel in reading order is on the outer line, and its upper edge runs to the right.
    row, column = (int(index) for index in np.argwhere(piece)[0])
    first = place = (row, column)
    step = (0, 1)
    corners = []
    while True:
        corners.append(place)
        while True:
            starts_at[place].remove(step)
            place = (place[0] + step[0], place[1] + step[1])
            if place == first:
                break
            onward = starts_at[place]
            # Where two pixels touch by a corner alone, the line crosses over to the other: both are in the piece.
            turned = onward[0] if len(onward) == 1 else (-step[1], step[0])
            if turned != step:
                step = turned
                break
        if place == first:
            break
    if len(corners) >= MOST_POINTS:
        corners = corners[:: -(-len(corners) // (MOST_POINTS - 1))]
    return np.array([*corners, corners[0]], np.float64)


def _edges(piece: NDArray[np.bool_]) -> list[tuple[tuple[int, int], NDArray[np.intp]]]:
    """Return the edges between the piece and the rest, clockwise about the piece: the step, and where edges start."""
    inside = np.pad(piece, 1)
    core = inside[1:-1, 1:-1]
    return [
        ((0, 1), np.argwhere(core & ~inside[:-2, 1:-1])),
        ((1, 0), np.argwhere(core & ~inside[1:-1, 2:]) + np.array((0, 1))),
        ((0, -1), np.argwhere(core & ~inside[2:, 1:-1]) + np.array((1, 1))),
        ((-1, 0), np.argwhere(core & ~inside[1:-1, :-2]) + np.array((1, 0))),
    ]
