# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From judged proposals to the contract's lists: what is handed out as a detection, and what was dismissed.

Both lists are of fixed length for a whole chunk, sorted, and padded with zeros behind a count.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from keras import ops
from numpy.typing import NDArray

from appliance.reading.contract import DETECTION_OVERLAP, MATRIX, MAX_DETECTIONS, MAX_DISMISSED, SCORE_FLOOR
from training.network.boxes import rows
from training.network.nms import keep_best
from training.network.rpn import Proposals
from training.network.tensors import Tensor, take


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

    boxes: Tensor
    scores: Tensor
    best: Tensor


def slice_numbers(slices: int, count: int) -> NDArray[np.int32]:
    """Return int32 [slices * count]: the slice of each row of a flattened [slices, count] list."""
    return np.repeat(np.arange(slices, dtype=np.int32), count)


def detections(judged: Judged, masks: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Tensor]:
    """Return the contract's detection outputs.

    Suppression is within a slice and a type: boxes of different types may lie on one another. `masks(boxes, slices)`
    gives mask logits [K, 56, 56, 3]; it is asked only for the chunk's best `MAX_DETECTIONS`, because masks are
    the dearest part after the backbone.
    """
    slices, count, types = judged.scores.shape
    best, order = ops.top_k(judged.best, count)
    boxes, scores = rows(judged.boxes, order), rows(judged.scores, order)
    kind = ops.top_k(scores, 1)[1][..., 0]
    # Boxes of different types are moved apart, so that one suppression serves all types.
    apart = boxes + ops.cast(kind, "float32")[..., None] * float(2 * MATRIX)
    best = best * keep_best(apart, DETECTION_OVERLAP) * ops.cast(best >= SCORE_FLOOR, "float32")

    best, index = ops.top_k(ops.reshape(best, [slices * count]), MAX_DETECTIONS)
    real = ops.cast(best > 0.0, "float32")
    number = take(slice_numbers(slices, count), index)
    box = take(ops.reshape(boxes, [slices * count, 4]), index)
    score = take(ops.reshape(scores, [slices * count, types]), index)
    of_kind = ops.one_hot(take(ops.reshape(kind, [slices * count]), index), types)
    logits = ops.cast(masks(box, number), "float32")
    mask = ops.sigmoid(ops.sum(logits * of_kind[:, None, None, :], axis=-1))
    return {
        "detection_count": ops.cast(ops.sum(real, keepdims=True), "int32"),
        "detection_slice": number * ops.cast(real, "int32"),
        "detection_box": box * real[:, None],
        "detection_score": score * real[:, None],
        "detection_mask": mask * real[:, None, None],
    }


def dismissed_outputs(judged: Judged, candidates: Proposals) -> dict[str, Tensor]:
    """Return the contract's dismissed outputs: proposals of which no type reached the floor, by falling objectness."""
    slices, count, types = judged.scores.shape
    below = candidates.valid * ops.cast(judged.best < SCORE_FLOOR, "float32")
    objectness = ops.sigmoid(candidates.logits) * below
    objectness, index = ops.top_k(ops.reshape(objectness, [slices * count]), MAX_DISMISSED)
    real = ops.cast(objectness > 0.0, "float32")
    number = take(slice_numbers(slices, count), index)
    return {
        "dismissed_count": ops.cast(ops.sum(real, keepdims=True), "int32"),
        "dismissed_slice": number * ops.cast(real, "int32"),
        "dismissed_box": take(ops.reshape(judged.boxes, [slices * count, 4]), index) * real[:, None],
        "dismissed_score": take(ops.reshape(judged.scores, [slices * count, types]), index) * real[:, None],
    }
