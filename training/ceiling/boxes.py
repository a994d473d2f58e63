# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The network's arithmetic of boxes and its limits, in numpy, so that the ceiling needs no TensorFlow.

The graph has its own (`training/network/boxes.py`, `nms.py`, `rpn.py`, `detections.py`, `roi_align.py`); a test in the
training environment holds the two together.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import MATRIX
from training.assignment import overlap_matrix

Boxes = NDArray[np.float32]

OFFSET_SCALE: Final = np.array([0.1, 0.1, 0.2, 0.2], np.float32)
MAX_LOG_RATIO: Final = math.log(8.0)
MIN_SIZE_PX: Final = 1.0
PROPOSALS_KEPT: Final = 48
PROPOSAL_OVERLAP: Final = 0.6
DETECTION_OVERLAP: Final = 0.4


def encoded(boxes: Boxes, reference: Boxes) -> Boxes:
    """Return the offsets [N, 4] from `reference` [N, 4] to `boxes` [N, 4] that the network should say."""
    size = np.maximum(boxes[:, 2:] - boxes[:, :2], MIN_SIZE_PX)
    reference_size = np.maximum(reference[:, 2:] - reference[:, :2], MIN_SIZE_PX)
    shift = 0.5 * (boxes[:, :2] + boxes[:, 2:] - reference[:, :2] - reference[:, 2:]) / reference_size
    return np.asarray(np.concatenate([shift, np.log(size / reference_size)], axis=1) / OFFSET_SCALE, np.float32)


def decoded(offsets: Boxes, reference: Boxes) -> Boxes:
    """Return the boxes [N, 4] that `offsets` [N, 4] describe from `reference` [N, 4], with the network's clipping."""
    offsets = offsets * OFFSET_SCALE
    size = reference[:, 2:] - reference[:, :2]
    centre = 0.5 * (reference[:, :2] + reference[:, 2:])
    centre = np.clip(centre + np.clip(offsets[:, :2], -8.0, 8.0) * size, 0.0, MATRIX)
    half = 0.5 * size * np.exp(np.clip(offsets[:, 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO))
    upper = np.clip(centre - half, 0.0, MATRIX - MIN_SIZE_PX)
    lower = np.maximum(np.clip(centre + half, 0.0, MATRIX), upper + MIN_SIZE_PX)
    return np.asarray(np.concatenate([upper, lower], axis=1), np.float32)


def kept(boxes: Boxes, threshold: float) -> NDArray[np.bool_]:
    """Return which boxes [N, 4], the surest first, greedy non-maximum suppression keeps."""
    keep = np.ones(len(boxes), bool)
    too_close = overlap_matrix(boxes, boxes) > threshold
    for i in range(len(boxes)):
        keep[i] = not (too_close[:i, i] & keep[:i]).any()
    return keep


def cells(plane: NDArray[np.float32], box: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return what a mask should say: `plane` [H, W] at the centres of `size` x `size` cells filling `box`, bilinear.

    One sample a cell, as the network reads its features and as training makes its targets.
    """
    cell = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)

    def samples(low: np.float32, high: np.float32, extent: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        position = np.clip(low + (high - low) * cell - np.float32(0.5), 0.0, extent - 1.0)
        floor = np.minimum(np.floor(position), extent - 2.0)
        return floor.astype(np.intp), (position - floor).astype(np.float32)

    top, down = samples(box[0], box[2], plane.shape[0])
    left, across = samples(box[1], box[3], plane.shape[1])
    rows = plane[top] * (1 - down[:, None]) + plane[top + 1] * down[:, None]
    return np.asarray(rows[:, left] * (1 - across) + rows[:, left + 1] * across, np.float32)
