# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From judged proposals to the contract's lists: what is handed out as a detection, and what was dismissed.

Both lists are of fixed length for a whole chunk, sorted, and padded with zeros behind a count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import tensorflow as tf

from appliance.reading.contract import DETECTION_OVERLAP, MATRIX, MAX_DETECTIONS, MAX_DISMISSED, SCORE_FLOOR
from training.network.boxes import rows
from training.network.nms import keep_best
from training.network.rpn import Proposals


@dataclass(frozen=True)
class Judged:
    """The proposals of S slices after the classifier, in the order of the proposals.

    Attributes
    ----------
    boxes
        [S, K, 4] refined boxes in pixels.
    scores
        [S, K, 3] softmax scores of the types.
    best
        [S, K] the highest of the three; 0 for entries that only fill the count.
    """

    boxes: tf.Tensor
    scores: tf.Tensor
    best: tf.Tensor


def slice_numbers(slices: int, count: int) -> tf.Tensor:
    """Return int32 [slices * count]: the slice of each row of a flattened [slices, count] list."""
    return tf.repeat(tf.range(slices), count)


def detections(judged: Judged, masks: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return the contract's detection outputs.

    Suppression is within a slice and a type: boxes of different types may lie on one another. `masks(boxes, slices)`
    gives mask logits [K, 56, 56, 3]; it is asked only for the chunk's best `MAX_DETECTIONS`, because masks are
    the dearest part after the backbone.
    """
    slices, count, types = judged.scores.shape
    best, order = tf.math.top_k(judged.best, count)
    boxes, scores = rows(judged.boxes, order), rows(judged.scores, order)
    kind = tf.math.top_k(scores, 1)[1][..., 0]
    # Boxes of different types are moved apart, so that one suppression serves all types.
    apart = boxes + tf.cast(kind, tf.float32)[..., None] * float(2 * MATRIX)
    best = best * keep_best(apart, DETECTION_OVERLAP) * tf.cast(best >= SCORE_FLOOR, tf.float32)

    best, index = tf.math.top_k(tf.reshape(best, [slices * count]), MAX_DETECTIONS)
    real = tf.cast(best > 0.0, tf.float32)
    number = tf.gather(slice_numbers(slices, count), index)
    box = tf.gather(tf.reshape(boxes, [slices * count, 4]), index)
    score = tf.gather(tf.reshape(scores, [slices * count, types]), index)
    of_kind = tf.one_hot(tf.gather(tf.reshape(kind, [slices * count]), index), types)
    logits = tf.cast(masks(box, number), tf.float32)
    mask = tf.sigmoid(tf.reduce_sum(logits * of_kind[:, None, None, :], axis=-1))
    return {
        "detection_count": tf.cast(tf.reduce_sum(real, keepdims=True), tf.int32),
        "detection_slice": number * tf.cast(real, tf.int32),
        "detection_box": box * real[:, None],
        "detection_score": score * real[:, None],
        "detection_mask": mask * real[:, None, None],
    }


def dismissed_outputs(judged: Judged, candidates: Proposals) -> dict[str, tf.Tensor]:
    """Return the contract's dismissed outputs: proposals of which no type reached the floor, by falling objectness."""
    slices, count, types = judged.scores.shape
    below = candidates.valid * tf.cast(judged.best < SCORE_FLOOR, tf.float32)
    objectness = tf.sigmoid(candidates.logits) * below
    objectness, index = tf.math.top_k(tf.reshape(objectness, [slices * count]), MAX_DISMISSED)
    real = tf.cast(objectness > 0.0, tf.float32)
    number = tf.gather(slice_numbers(slices, count), index)
    return {
        "dismissed_count": tf.cast(tf.reduce_sum(real, keepdims=True), tf.int32),
        "dismissed_slice": number * tf.cast(real, tf.int32),
        "dismissed_box": tf.gather(tf.reshape(judged.boxes, [slices * count, 4]), index) * real[:, None],
        "dismissed_score": tf.gather(tf.reshape(judged.scores, [slices * count, types]), index) * real[:, None],
    }
