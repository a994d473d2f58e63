# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Arithmetic of boxes (y1, x1, y2, x2 in pixels, last axis of 4) inside the graph, always in fp32.

What an offset is stands in `appliance/reading/boxes.py`, in numpy; a test holds the graph to it.
"""

from __future__ import annotations

import tensorflow as tf

from appliance.reading.boxes import MAX_LOG_RATIO, MIN_SIZE_PX, MIN_UNION_PX, OFFSET_SCALE


def decode(offsets: tf.Tensor, reference: tf.Tensor, matrix: int) -> tf.Tensor:
    """Return the boxes [..., 4] that `offsets` [..., 4] describe from `reference`, clipped to the grid."""
    offsets = tf.cast(offsets, tf.float32) * tf.constant(OFFSET_SCALE)
    shift, ratio = offsets[..., :2], tf.clip_by_value(offsets[..., 2:], -MAX_LOG_RATIO, MAX_LOG_RATIO)
    size = reference[..., 2:] - reference[..., :2]
    centre = 0.5 * (reference[..., :2] + reference[..., 2:])
    # An absurd shift is bounded too, before it meets integer index arithmetic.
    centre = tf.clip_by_value(centre + tf.clip_by_value(shift, -8.0, 8.0) * size, 0.0, float(matrix))
    half = 0.5 * size * tf.exp(ratio)
    upper = tf.clip_by_value(centre - half, 0.0, matrix - MIN_SIZE_PX)
    lower = tf.maximum(tf.clip_by_value(centre + half, 0.0, float(matrix)), upper + MIN_SIZE_PX)
    return tf.concat([upper, lower], axis=-1)


def encode(boxes: tf.Tensor, reference: tf.Tensor) -> tf.Tensor:
    """Return the offsets [..., 4] from `reference` to `boxes`: the inverse of `decode` inside the grid."""
    size = tf.maximum(boxes[..., 2:] - boxes[..., :2], MIN_SIZE_PX)
    reference_size = tf.maximum(reference[..., 2:] - reference[..., :2], MIN_SIZE_PX)
    shift = 0.5 * (boxes[..., :2] + boxes[..., 2:] - reference[..., :2] - reference[..., 2:]) / reference_size
    return tf.concat([shift, tf.math.log(size / reference_size)], axis=-1) / tf.constant(OFFSET_SCALE)


def overlaps(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Return the intersection over union [..., N, M] of boxes a [..., N, 4] with b [..., M, 4]."""
    a, b = a[..., :, None, :], b[..., None, :, :]
    side = tf.maximum(tf.minimum(a[..., 2:], b[..., 2:]) - tf.maximum(a[..., :2], b[..., :2]), 0.0)
    intersection = side[..., 0] * side[..., 1]
    area_a = (a[..., 2] - a[..., 0]) * (a[..., 3] - a[..., 1])
    area_b = (b[..., 2] - b[..., 0]) * (b[..., 3] - b[..., 1])
    return intersection / tf.maximum(area_a + area_b - intersection, MIN_UNION_PX)


def rows(table: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Return `table`[s, index[s, k]]: [S, K, ...] of table [S, N, ...] and int32 index [S, K].

    One flat Gather: a batched gather converts to a chain of nodes.
    """
    slices, count = table.shape[:2]
    flat = tf.reshape(table, [slices * count, *table.shape[2:]])
    return tf.gather(flat, index + tf.range(slices)[:, None] * count)
