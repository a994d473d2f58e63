# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The losses of the network: approximate joint training of proposals, classifier and masks (paper).

One loss for all parts in one pass, with the proposals taken as given (no gradient through their coordinates).
"128 sampled ROIs per image, with a ratio of positive-to-negative samples fixed at 1:3": here up to `POSITIVE_ROIS` a
slice of a crop that is a quarter of an image, and three times as many negatives in a batch. The classifier itself
decides which ones: those without blood that it scores worst (Shrivastava et al., CVPR 2016), because one sure false
detection on one of thirty slices makes a false alarm of the whole study.
"""

from __future__ import annotations

from typing import Final

import keras
import numpy as np
from keras import ops

from appliance.reading.anchors import anchor_boxes
from appliance.reading.contract import MASK_SIZE, TYPES
from training.assignment import NEGATIVE_OVERLAP
from training.dense import DenseHead, dense_term
from training.network.boxes import decode, encode, overlaps, rows
from training.network.classes import SUMMED
from training.network.detections import slice_numbers
from training.network.detector import Detector, scale
from training.network.roi_align import align
from training.network.rpn import Proposals
from training.network.tensors import Tensor, take

POSITIVE_ROIS: Final = 8
# Negatives looked at in each slice, of which the hardest of the batch are learnt.
NEGATIVE_ROIS: Final = 40
NEGATIVES_PER_POSITIVE: Final = 3
POSITIVE_OVERLAP: Final = 0.5
NAMED_OVERLAP: Final = NEGATIVE_OVERLAP
"""Of a mimic and a region without blood, from which the region has the mimic's name: beyond where anchors are empty."""
# Masks are learnt on this many of the batch's positive ROIs: they cost as much as everything else.
MASK_ROIS_A_SLICE: Final = 1.5
L2: Final = 1e-5
# Means over all that was asked, of which few are positive, against means over positives: these bring them level.
WEIGHTS: Final = {
    "objectness": 2.0,
    "anchor": 0.3,
    "class": 2.0,
    "name": 0.3,
    "box": 0.3,
    "mask": 1.0,
    "dense": 0.5,
    "l2": 1.0,
}


def losses(
    detector: Detector,
    dense: DenseHead,
    slices: Tensor,
    labels: Tensor,
    boxes: Tensor,
    kinds: Tensor,
    anchor_labels: Tensor,
    moved_anchors: Tensor,
    mimic_boxes: Tensor,
    mimic_kinds: Tensor,
    *,
    slabs: int,
    training: bool,
    chance: keras.random.SeedGenerator,
) -> dict[str, Tensor]:
    """Return the terms of the loss for one batch (see `batches.Batch`), each a scalar, to be weighted by `WEIGHTS`.

    `training` says whether batch normalisation uses (and learns) the batch's own statistics; `chance` draws the regions
    to learn from. The network may compute in half precision; its losses are fp32.
    """
    matrix = labels.shape[1]
    truths: list[Tensor] = []

    def choose(candidates: Proposals) -> Tensor:
        """Return the boxes to learn from, and store their truth."""
        boxes_to_see, *true = _sample(
            ops.stop_gradient(candidates.boxes),
            ops.stop_gradient(candidates.valid),
            (boxes, kinds),
            (mimic_boxes, mimic_kinds),
            matrix,
            chance,
        )
        truths.extend(true)
        return boxes_to_see

    seen = detector.passage(scale(_single(slices)), choose, slabs=slabs, training=training)
    terms = _proposal_terms(
        _single(seen.anchor_logits), _single(seen.anchor_offsets), anchor_labels, moved_anchors, matrix
    )
    count = seen.boxes.shape[0] * seen.boxes.shape[1]
    where = slice_numbers(seen.boxes.shape[0], seen.boxes.shape[1])
    rois, roi_offsets = ops.reshape(seen.boxes, [count, 4]), _single(ops.reshape(seen.box_offsets, [count, 4]))
    class_logits = _single(ops.reshape(seen.class_logits, [count, seen.class_logits.shape[-1]]))
    roi_kinds, roi_boxes = ops.reshape(truths[0], [count]), ops.reshape(truths[1], [count, 4])
    roi_names = ops.reshape(truths[2], [count])

    positive = ops.cast(roi_kinds > 0, "float32")
    entropy = class_entropy(class_logits, roi_kinds)
    terms["name"] = name_term(class_logits, ops.where(roi_kinds == 0, roi_names, -1))
    asked = positive + _hardest(ops.stop_gradient(entropy), roi_kinds)
    terms["class"] = ops.sum(entropy * asked) / ops.maximum(ops.sum(asked), 1.0)
    miss = _smooth_l1(roi_offsets - encode(roi_boxes, rois))
    terms["box"] = ops.sum(miss * positive) / ops.maximum(ops.sum(positive), 1.0)

    luck = 1.0 + keras.random.uniform([count], seed=chance)
    drawn, index = ops.top_k(positive * luck, max(1, int(MASK_ROIS_A_SLICE * labels.shape[0])))
    terms["mask"] = _mask_term(
        detector,
        seen.pyramid,
        labels,
        take(rois, index),
        take(where, index),
        take(roi_kinds, index),
        ops.cast(drawn > 0, "float32"),
    )
    terms["dense"] = dense_term(_single(dense(seen.pyramid[0])), labels)
    kernels = [v for v in detector.trainable_variables if v.path.endswith("kernel")]
    terms["l2"] = L2 * sum(0.5 * ops.sum(ops.square(kernel)) for kernel in kernels)
    return terms


def class_entropy(logits: Tensor, kinds: Tensor) -> Tensor:
    """Return the cross-entropy [K] of logits [K, 8] against kinds [K]: a type's label, or 0 for no hemorrhage.

    No hemorrhage is the sum of its parts, whichever it is: what makes a negative hard is how much it looks like blood,
    and not that calcium is taken for a vessel.
    """
    whole = ops.logsumexp(logits, axis=-1)
    of_type = ops.sum(logits * ops.one_hot(ops.maximum(kinds, 0), logits.shape[-1]), axis=-1)
    return whole - ops.where(kinds > 0, of_type, ops.logsumexp(_parts(logits), axis=-1))


def name_term(logits: Tensor, names: Tensor) -> Tensor:
    """Return how badly logits [K, 8] name what is no hemorrhage, a scalar.

    names [K] are classes of its parts (`network.classes`), -1 where there is nothing to name. Each name counts the
    same, however many regions have it: vessels are everywhere, contrast agent is rare.
    """
    parts = _parts(logits)
    index = ops.where(names >= SUMMED, names - SUMMED + 1, names)
    of_name = ops.one_hot(index, parts.shape[-1])  # none for -1
    entropy = ops.logsumexp(parts, axis=-1, keepdims=True) - parts
    count = ops.sum(of_name, axis=0)
    mean = ops.sum(entropy * of_name, axis=0) / ops.maximum(count, 1.0)
    return ops.sum(mean) / ops.maximum(ops.sum(ops.cast(count > 0, "float32")), 1.0)


def _parts(logits: Tensor) -> Tensor:
    """Return the logits [K, 5] of the parts of no hemorrhage: what has no name, then the named."""
    return ops.concatenate([logits[:, :1], logits[:, SUMMED:]], axis=-1)


def _single(values: Tensor) -> Tensor:
    """Return values in single precision."""
    return ops.cast(values, "float32")


def _hardest(entropy: Tensor, kinds: Tensor) -> Tensor:
    """Return 1 for the negatives to learn from, 0 for others, [K]: `NEGATIVES_PER_POSITIVE` per positive of the batch.

    Those with the highest entropy come first.
    """
    hardness = ops.where(kinds == 0, entropy, -1.0)
    wanted = NEGATIVES_PER_POSITIVE * ops.maximum(ops.sum(ops.cast(kinds > 0, "int32")), POSITIVE_ROIS)
    hardest_first = -ops.sort(-hardness)
    least = take(hardest_first, ops.minimum(wanted, hardness.shape[0]) - 1)
    return ops.cast((hardness >= least) & (kinds == 0), "float32")


def _smooth_l1(error: Tensor) -> Tensor:
    """Return the smooth L1 norm of errors [..., 4], summed over the four."""
    size = ops.abs(error)
    return ops.sum(ops.where(size < 1.0, 0.5 * size * size, size - 0.5), axis=-1)


def _proposal_terms(logits: Tensor, offsets: Tensor, asked: Tensor, moved: Tensor, matrix: int) -> dict[str, Tensor]:
    """Return the two terms of the region-proposal network."""
    weight = ops.cast(asked >= 0, "float32")
    positive = ops.cast(asked > 0, "float32")
    entropy = ops.binary_crossentropy(positive, logits, from_logits=True)
    # Only positive anchors have a target; the others are given their own box, an offset of zero.
    anchors = anchor_boxes(matrix)
    target = encode(moved + (1.0 - positive)[..., None] * anchors, anchors)
    miss = _smooth_l1(offsets - target)
    return {
        "objectness": ops.sum(entropy * weight) / ops.sum(weight),
        "anchor": ops.sum(miss * positive) / ops.maximum(ops.sum(positive), 1.0),
    }


def _sample(
    candidates: Tensor,
    valid: Tensor,
    pieces: tuple[Tensor, Tensor],
    mimics: tuple[Tensor, Tensor],
    matrix: int,
    chance: keras.random.SeedGenerator,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the ROIs to look at, R a slice: boxes [S, R, 4], kinds [S, R] (-1: none), true boxes [S, R, 4], names.

    `pieces` and `mimics` are boxes and kinds, padded, as in `batches.Batch`.

    They are drawn from the proposals and from the pieces themselves, slightly displaced: early on no proposal is
    any good. Negatives are proposals that the region-proposal network thought best, so they are hard by themselves.
    A proposal that touches a piece without fitting it is neither: where a large bleed is cut into pieces is arbitrary,
    and a box across two pieces, or inside one, is full of blood.

    The mimics themselves are among the negatives, slightly displaced. The name [S, R] of a negative is the class of the
    mimic that it fits by `NAMED_OVERLAP` or more, 0 where it touches none, and -1 where it is neither, or where nobody
    knows.
    """
    boxes, kinds = pieces
    mimic_boxes, mimic_kinds = mimics
    there = ops.cast(kinds > 0, "float32")
    # A displacement of up to a tenth of the size keeps the overlap above the positive limit.
    jitter = keras.random.uniform(boxes.shape, -1.0, 1.0, seed=chance) * np.array([1.0, 1.0, 0.5, 0.5], np.float32)
    displaced = decode(jitter, boxes, matrix)
    jitter = keras.random.uniform(mimic_boxes.shape, -1.0, 1.0, seed=chance) * np.array([1, 1, 0.5, 0.5], np.float32)
    beside = ops.cast(mimic_kinds > 0, "float32")
    pool = ops.concatenate([candidates, displaced, decode(jitter, mimic_boxes, matrix)], axis=1)
    real = ops.concatenate([valid, there, beside], axis=1)
    overlap = overlaps(pool, boxes) * there[:, None, :]
    best, index = ops.top_k(overlap, 1)
    best, index = best[..., 0], index[..., 0]
    positive = real * ops.cast(best >= POSITIVE_OVERLAP, "float32")
    negative = real * ops.cast(best <= 0.0, "float32")
    luck = 1.0 + keras.random.uniform(best.shape, seed=chance)
    drawn_positive, first = ops.top_k(positive * luck, POSITIVE_ROIS)
    drawn_negative, second = ops.top_k(negative * luck, NEGATIVE_ROIS)
    chosen = ops.concatenate([first, second], axis=1)
    matched = rows(index, chosen)
    kind = ops.concatenate(
        [
            ops.where(drawn_positive > 0, rows(kinds, rows(index, first)), -1),
            ops.where(drawn_negative > 0, 0, -1),
        ],
        axis=1,
    )
    fit, nearest = ops.top_k(overlaps(pool, mimic_boxes) * beside[:, None, :], 1)
    fit, name = fit[..., 0], rows(mimic_kinds, nearest[..., 0])
    name = ops.where(fit >= NAMED_OVERLAP, name, ops.where(fit <= 0.0, 0, -1))
    name = ops.where(ops.min(mimic_kinds, axis=1, keepdims=True) < 0, -1, name)
    return rows(pool, chosen), kind, rows(boxes, matched), rows(name, chosen)


def _mask_term(
    detector: Detector,
    pyramid: list[Tensor],
    labels: Tensor,
    rois: Tensor,
    where: Tensor,
    kinds: Tensor,
    drawn: Tensor,
) -> Tensor:
    """Return the mask term: cross-entropy and overlap with all blood of the ROI's type inside its box."""
    one_hot = ops.one_hot(kinds - 1, len(TYPES))
    logits = ops.sum(_single(detector.masks(pyramid, rois, where)) * one_hot[:, None, None, :], axis=-1)
    by_type = ops.cast(labels[..., None] == np.arange(1, len(TYPES) + 1, dtype=np.uint8), "float32")
    truth = ops.sum(_at_pixels(by_type, rois, where) * one_hot[:, None, None, :], axis=-1)
    entropy = ops.mean(ops.binary_crossentropy(truth, logits, from_logits=True), axis=[1, 2])
    guess = ops.sigmoid(logits)
    shared = 2.0 * ops.sum(guess * truth, axis=[1, 2]) + 1.0
    dice = 1.0 - shared / (ops.sum(guess + truth, axis=[1, 2]) + 1.0)
    return ops.sum((entropy + 0.5 * dice) * drawn) / ops.maximum(ops.sum(drawn), 1.0)


def _at_pixels(planes: Tensor, rois: Tensor, where: Tensor) -> Tensor:
    """Return planes [S, H, W, C] of the pixel grid at the mask cells of each ROI: [K, 56, 56, C]."""
    stride = 4.0  # of the pyramid's finest level, which `align` takes its first map for
    return align([planes], rois * stride, where, MASK_SIZE)
