# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the network is taught by: approximate joint training of proposals, classifier and masks (paper).

One loss for all parts in one pass, with the proposals taken as given (no gradient through their coordinates).
"128 sampled ROIs per image, with a ratio of positive-to-negative samples fixed at 1:3": here up to `POSITIVE_ROIS` a
slice of a crop that is a quarter of an image, and three times as many negatives in a batch. Which ones decides the
classifier itself: those without blood that it scores worst (Shrivastava et al., CVPR 2016), because one sure false
detection on one of thirty slices makes a false alarm of the whole study.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import tensorflow as tf

from appliance.reading.anchors import anchor_boxes
from appliance.reading.contract import MASK_SIZE, TYPES
from training.dense import DenseHead, dense_term
from training.network.boxes import decode, encode, overlaps, rows
from training.network.detections import slice_numbers
from training.network.detector import Detector
from training.network.roi_align import align
from training.network.rpn import Proposals

POSITIVE_ROIS: Final = 8
# Negatives looked at in each slice, of which the hardest of the batch are learnt.
NEGATIVE_ROIS: Final = 40
NEGATIVES_PER_POSITIVE: Final = 3
POSITIVE_OVERLAP: Final = 0.5
# Masks are learnt on this many of the batch's positive ROIs: they cost as much as everything else.
MASK_ROIS: Final = 24
L2: Final = 1e-5
# Means over all that was asked, of which few are positive, against means over positives: these bring them level.
WEIGHTS: Final = {"objectness": 2.0, "anchor": 0.3, "class": 2.0, "box": 0.3, "mask": 1.0, "dense": 0.5, "l2": 1.0}


def losses(
    detector: Detector,
    dense: DenseHead,
    slices: tf.Tensor,
    labels: tf.Tensor,
    boxes: tf.Tensor,
    kinds: tf.Tensor,
    anchor_labels: tf.Tensor,
    moved_anchors: tf.Tensor,
    *,
    slabs: int,
    training: bool,
) -> dict[str, tf.Tensor]:
    """Return the terms of the loss for one batch (see `batches.Batch`), each a scalar, to be weighted by `WEIGHTS`.

    `training` says whether batch normalisation uses (and learns) the batch's own statistics.
    """
    matrix = labels.shape[1]
    truths: list[tf.Tensor] = []

    def choose(candidates: Proposals) -> tf.Tensor:
        """Return the boxes to learn from, and keep what is true of them."""
        boxes_to_see, *true = _sampled(
            tf.stop_gradient(candidates.boxes), tf.stop_gradient(candidates.valid), boxes, kinds, matrix
        )
        truths.extend(true)
        return boxes_to_see

    seen = detector.passage(slices, choose, slabs=slabs, training=training)
    terms = _proposal_terms(seen.anchor_logits, seen.anchor_offsets, anchor_labels, moved_anchors, matrix)
    count = seen.boxes.shape[0] * seen.boxes.shape[1]
    where = slice_numbers(seen.boxes.shape[0], seen.boxes.shape[1])
    rois, roi_offsets = tf.reshape(seen.boxes, [count, 4]), tf.reshape(seen.box_offsets, [count, 4])
    class_logits = tf.reshape(seen.class_logits, [count, seen.class_logits.shape[-1]])
    roi_kinds, roi_boxes = tf.reshape(truths[0], [count]), tf.reshape(truths[1], [count, 4])

    positive = tf.cast(roi_kinds > 0, tf.float32)
    entropy = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(roi_kinds, 0), class_logits)
    asked = positive + _hardest(tf.stop_gradient(entropy), roi_kinds)
    terms["class"] = tf.reduce_sum(entropy * asked) / tf.maximum(tf.reduce_sum(asked), 1.0)
    miss = _smooth_l1(roi_offsets - encode(roi_boxes, rois))
    terms["box"] = tf.reduce_sum(miss * positive) / tf.maximum(tf.reduce_sum(positive), 1.0)

    drawn, index = tf.math.top_k(positive * (1.0 + tf.random.uniform([count])), MASK_ROIS)
    terms["mask"] = _mask_term(
        detector,
        seen.pyramid,
        labels,
        tf.gather(rois, index),
        tf.gather(where, index),
        tf.gather(roi_kinds, index),
        tf.cast(drawn > 0, tf.float32),
    )
    terms["dense"] = dense_term(dense(seen.pyramid[0]), labels)
    kernels = [v for v in detector.trainable_variables if v.path.endswith("kernel")]
    terms["l2"] = L2 * tf.add_n([tf.nn.l2_loss(kernel) for kernel in kernels])
    return terms


def _hardest(entropy: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
    """Return 1 for the negatives to learn from, 0 for all else, [K]: `NEGATIVES_PER_POSITIVE` a positive of the batch.

    Those with the highest entropy come first.
    """
    hardness = tf.where(kinds == 0, entropy, -1.0)
    wanted = NEGATIVES_PER_POSITIVE * tf.maximum(tf.reduce_sum(tf.cast(kinds > 0, tf.int32)), POSITIVE_ROIS)
    least = tf.math.top_k(hardness, tf.minimum(wanted, tf.size(hardness))).values[-1]
    return tf.cast((hardness >= least) & (kinds == 0), tf.float32)


def _smooth_l1(error: tf.Tensor) -> tf.Tensor:
    """Return the smooth L1 norm of errors [..., 4], summed over the four."""
    size = tf.abs(error)
    return tf.reduce_sum(tf.where(size < 1.0, 0.5 * size * size, size - 0.5), axis=-1)


def _proposal_terms(
    logits: tf.Tensor, offsets: tf.Tensor, asked: tf.Tensor, moved: tf.Tensor, matrix: int
) -> dict[str, tf.Tensor]:
    """Return the two terms of the region-proposal network."""
    weight = tf.cast(asked >= 0, tf.float32)
    positive = tf.cast(asked > 0, tf.float32)
    entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=positive, logits=logits)
    # Only positive anchors have a target; the others are given their own box, an offset of zero.
    anchors = tf.constant(anchor_boxes(matrix))
    target = encode(moved + (1.0 - positive)[..., None] * anchors, anchors)
    miss = _smooth_l1(offsets - target)
    return {
        "objectness": tf.reduce_sum(entropy * weight) / tf.reduce_sum(weight),
        "anchor": tf.reduce_sum(miss * positive) / tf.maximum(tf.reduce_sum(positive), 1.0),
    }


def _sampled(
    candidates: tf.Tensor, valid: tf.Tensor, boxes: tf.Tensor, kinds: tf.Tensor, matrix: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Return the ROIs to look at, R a slice: boxes [S, R, 4], kinds [S, R] (-1: none) and true boxes [S, R, 4].

    They are drawn from the proposals and from the pieces themselves, slightly displaced: early on no proposal is
    any good. Negatives are proposals that the region-proposal network thought best, so they are hard by themselves.
    A proposal that touches a piece without fitting it is neither: where a large bleed is cut into pieces is arbitrary,
    and a box across two pieces, or inside one, is full of blood.
    """
    there = tf.cast(kinds > 0, tf.float32)
    # A displacement of up to a tenth of the size keeps the overlap above the positive limit.
    jitter = tf.random.uniform(tf.shape(boxes), -1.0, 1.0) * tf.constant([1.0, 1.0, 0.5, 0.5])
    displaced = decode(jitter, boxes, matrix)
    pool = tf.concat([candidates, displaced], axis=1)
    real = tf.concat([valid, there], axis=1)
    overlap = overlaps(pool, boxes) * there[:, None, :]
    best, index = tf.math.top_k(overlap, 1)
    best, index = best[..., 0], index[..., 0]
    positive = real * tf.cast(best >= POSITIVE_OVERLAP, tf.float32)
    negative = real * tf.cast(best <= 0.0, tf.float32)
    chance = 1.0 + tf.random.uniform(tf.shape(best))
    drawn_positive, first = tf.math.top_k(positive * chance, POSITIVE_ROIS)
    drawn_negative, second = tf.math.top_k(negative * chance, NEGATIVE_ROIS)
    chosen = tf.concat([first, second], axis=1)
    matched = rows(index, chosen)
    kind = tf.concat(
        [
            tf.where(drawn_positive > 0, rows(kinds, rows(index, first)), -1),
            tf.where(drawn_negative > 0, 0, -1),
        ],
        axis=1,
    )
    return rows(pool, chosen), kind, rows(boxes, matched)


def _mask_term(
    detector: Detector,
    pyramid: list[tf.Tensor],
    labels: tf.Tensor,
    rois: tf.Tensor,
    where: tf.Tensor,
    kinds: tf.Tensor,
    drawn: tf.Tensor,
) -> tf.Tensor:
    """Return the mask term: cross-entropy and overlap with all blood of the ROI's type inside its box."""
    one_hot = tf.one_hot(kinds - 1, len(TYPES))
    logits = tf.reduce_sum(detector.masks(pyramid, rois, where) * one_hot[:, None, None, :], axis=-1)
    by_type = tf.cast(labels[..., None] == np.arange(1, len(TYPES) + 1, dtype=np.uint8), tf.float32)
    truth = tf.reduce_sum(_at_pixels(by_type, rois, where) * one_hot[:, None, None, :], axis=-1)
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=logits), axis=[1, 2])
    guess = tf.sigmoid(logits)
    shared = 2.0 * tf.reduce_sum(guess * truth, axis=[1, 2]) + 1.0
    dice = 1.0 - shared / (tf.reduce_sum(guess + truth, axis=[1, 2]) + 1.0)
    return tf.reduce_sum((entropy + 0.5 * dice) * drawn) / tf.maximum(tf.reduce_sum(drawn), 1.0)


def _at_pixels(planes: tf.Tensor, rois: tf.Tensor, where: tf.Tensor) -> tf.Tensor:
    """Return planes [S, H, W, C] of the pixel grid at the mask cells of each ROI: [K, 56, 56, C]."""
    stride = 4.0  # of the pyramid's finest level, which `align` takes its first map for
    return align([planes], rois * stride, where, MASK_SIZE)
