# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of boxes (y1, x1, y2, x2 in pixels) in numpy: overlap, suppression, and offsets from reference boxes.

An offset is a box seen from a reference box: (dy, dx) of the centres in units of the reference's size and
(log h, log w) of the size ratio, divided by `OFFSET_SCALE` so that typical values are of order one. The network's graph
does the same with graph operations (`training/network/boxes.py`, `nms.py`), using these constants.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import MATRIX

Boxes = NDArray[np.float32]

OFFSET_SCALE: Final = (0.1, 0.1, 0.2, 0.2)
MAX_LOG_RATIO: Final = math.log(8.0)
"""A refined box is at most this much larger or smaller than its reference: exp() of a wild offset must not overflow."""
MIN_SIZE_PX: Final = 1.0
MIN_UNION_PX: Final = 1e-6
"""The least union that an overlap is divided by: two boxes without area do not overlap."""


def overlaps(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return the intersection over union [N, M] of boxes a [N, 4] and b [M, 4], in their dtype."""
    # One axis at a time: a last axis of two would make the arrays slow to go through.
    height, width = (
        np.maximum(np.minimum(a[:, None, axis + 2], b[:, axis + 2]) - np.maximum(a[:, None, axis], b[:, axis]), 0)
        for axis in (0, 1)
    )
    intersection = height * width
    area_a, area_b = ((x[:, 2] - x[:, 0]) * (x[:, 3] - x[:, 1]) for x in (a, b))
    return np.asarray(intersection / np.maximum(area_a[:, None] + area_b - intersection, MIN_UNION_PX))


def suppress(boxes: Boxes, threshold: float) -> NDArray[np.bool_]:
    """Return which boxes [N, 4], ordered by falling score, greedy non-maximum suppression keeps, bool [N].

    A box is dropped when an earlier kept one overlaps it by more than `threshold`.
    """
    keep = np.ones(len(boxes), bool)
    too_close = overlaps(boxes, boxes) > threshold
    for i in range(len(boxes)):
        keep[i] = not (too_close[:i, i] & keep[:i]).any()
    return keep


def encode(boxes: Boxes, reference: Boxes) -> Boxes:
    """Return the offsets [N, 4] from `reference` [N, 4] to `boxes` [N, 4]."""
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], MIN_SIZE_PX)
    reference_size = np.maximum(reference[:, 2:] - reference[:, :2], MIN_SIZE_PX)
    shift = 0.5 * (boxes[:, :2] + boxes[:, 2:] - reference[:, :2] - reference[:, 2:]) / reference_size
    offsets = np.concatenate([shift, np.log(size / reference_size)], axis=1)
    return np.asarray(offsets / np.asarray(OFFSET_SCALE, np.float32), np.float32)


def decode(offsets: Boxes, reference: Boxes) -> Boxes:
    """Return the boxes [N, 4] that `offsets` [N, 4] describe from `reference` [N, 4], clipped to the 512 x 512 grid."""
    offsets = np.asarray(offsets * np.asarray(OFFSET_SCALE, np.float32), np.float32)
    size = reference[:, 2:] - reference[:, :2]
    centre = 0.5 * (reference[:, :2] + reference[:, 2:])
    # An absurd shift is bounded before it is clipped to the grid.
    centre = np.clip(centre + np.clip(offsets[:, :2], -8.0, 8.0) * size, 0.0, MATRIX)
    half = 0.5 * size * np.exp(np.clip(offsets[:, 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO))
    upper = np.clip(centre - half, 0.0, MATRIX - MIN_SIZE_PX)
    lower = np.maximum(np.clip(centre + half, 0.0, MATRIX), upper + MIN_SIZE_PX)
    return np.asarray(np.concatenate([upper, lower], axis=1), np.float32)
