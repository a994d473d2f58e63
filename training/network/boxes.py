# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of boxes (y1, x1, y2, x2 in pixels, last axis of 4) inside the graph, always in fp32.

What an offset is stands in `appliance/reading/boxes.py`, in numpy; a test holds the graph to it.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from keras import ops

from appliance.reading.boxes import MAX_LOG_RATIO, MIN_SIZE_PX, MIN_UNION_PX, OFFSET_SCALE
from training.network.tensors import Tensor, take

_SCALE: Final = np.asarray(OFFSET_SCALE, np.float32)


def decode(offsets: Tensor, reference: Tensor, matrix: int) -> Tensor:
    """Return the boxes [..., 4] that `offsets` [..., 4] describe from `reference`, clipped to the grid."""
    offsets = ops.cast(offsets, "float32") * _SCALE
    shift, ratio = offsets[..., :2], ops.clip(offsets[..., 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO)
    size = reference[..., 2:] - reference[..., :2]
    centre = 0.5 * (reference[..., :2] + reference[..., 2:])
    # An absurd shift is bounded too, before it meets integer index arithmetic.
    centre = ops.clip(centre + ops.clip(shift, -8.0, 8.0) * size, 0.0, float(matrix))
    half = 0.5 * size * ops.exp(ratio)
    upper = ops.clip(centre - half, 0.0, matrix - MIN_SIZE_PX)
    lower = ops.maximum(ops.clip(centre + half, 0.0, float(matrix)), upper + MIN_SIZE_PX)
    return ops.concatenate([upper, lower], axis=-1)


def encode(boxes: Tensor, reference: Tensor) -> Tensor:
    """Return the offsets [..., 4] from `reference` to `boxes`: the inverse of `decode` inside the grid."""
    size = ops.maximum(boxes[..., 2:] - boxes[..., :2], MIN_SIZE_PX)
    reference_size = ops.maximum(reference[..., 2:] - reference[..., :2], MIN_SIZE_PX)
    shift = 0.5 * (boxes[..., :2] + boxes[..., 2:] - reference[..., :2] - reference[..., 2:]) / reference_size
    return ops.concatenate([shift, ops.log(size / reference_size)], axis=-1) / _SCALE


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union [..., N, M] of boxes a [..., N, 4] with b [..., M, 4]."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    side = ops.maximum(ops.minimum(a[..., 2:], b[..., 2:]) - ops.maximum(a[..., :2], b[..., :2]), 0.0)
    intersection = side[..., 0] * side[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return intersection / ops.maximum(area_a + area_b - intersection, MIN_UNION_PX)


def rows(table: Tensor, index: Tensor) -> Tensor:
    """Return `table`[s, index[s, k]]: [S, K, ...] of table [S, N, ...] and int32 index [S, K].

    One flat Gather: a batched gather converts to a chain of nodes.
    """
    slices, count = table.shape[:2]
    flat = ops.reshape(table, [slices * count, *table.shape[2:]])
    return take(flat, index + count * np.arange(slices, dtype=np.int32)[:, None])
