# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ceiling reckons in numpy; what it reckons is what the network does."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from appliance.reading.boxes import decode, encode, suppress
from appliance.reading.contract import DETECTION_OVERLAP, MASK_SIZE, MATRIX, MAX_DETECTIONS, PROPOSAL_OVERLAP
from appliance.reading.detections import Box
from appliance.reading.masks import cells
from training.ceiling.cost import mask_head_gflop
from training.network import boxes, nms
from training.network.heads import MASK_GRID, MaskHead
from training.network.roi_align import align
from training.network.variants import VARIANTS

pytestmark = pytest.mark.training


def random_boxes(count: int, rng: np.random.Generator) -> np.ndarray:
    low = rng.uniform(-10, MATRIX - 40, (count, 2))
    return np.concatenate([low, low + rng.uniform(2, 200, (count, 2))], axis=1).astype(np.float32)


def test_boxes_are_encoded_and_decoded_as_the_network_does() -> None:
    rng = np.random.default_rng(0)
    target, reference = random_boxes(200, rng), random_boxes(200, rng)
    offsets = boxes.encode(tf.constant(target), tf.constant(reference)).numpy()
    np.testing.assert_allclose(encode(target, reference), offsets, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        decode(offsets, reference),
        boxes.decode(tf.constant(offsets), tf.constant(reference), MATRIX).numpy(),
        atol=1e-3,
    )


def test_boxes_are_suppressed_as_the_network_does() -> None:
    found = random_boxes(60, np.random.default_rng(1))
    for threshold in (0.2, DETECTION_OVERLAP, PROPOSAL_OVERLAP):
        keep = nms.keep_best(tf.constant(found[None]), threshold).numpy()[0] > 0.5
        np.testing.assert_array_equal(suppress(found, threshold), keep)


def test_masks_are_asked_for_as_training_asks_for_them() -> None:
    rng = np.random.default_rng(2)
    plane = (rng.random((MATRIX, MATRIX)) < 0.3).astype(np.float32)
    rois = random_boxes(5, rng)
    stride = 4.0  # as in `training.losses`
    asked = align([tf.constant(plane[None, :, :, None])], tf.constant(rois) * stride, tf.zeros(5, tf.int32), MASK_SIZE)
    for box, mask in zip(rois, asked.numpy()[..., 0], strict=True):
        np.testing.assert_allclose(cells(plane, Box(*map(float, box)), MASK_SIZE), mask, atol=2e-4)


def test_the_mask_head_costs_what_its_layers_cost() -> None:
    for variant in VARIANTS.values():
        head = MaskHead(variant)
        head.build()
        outputs = {"upsample": MASK_SIZE**2 / 4, "logits": MASK_SIZE**2}  # of a 2 x 2 kernel one tap an output pixel
        multiplications = sum(
            np.prod(layer.kernel.shape) * outputs.get(layer.name, MASK_GRID**2)
            for layer in (*head.convolutions, head.upsample, head.logits)
        )
        gflop = 2e-9 * multiplications * MAX_DETECTIONS
        assert mask_head_gflop(variant, MASK_SIZE) == pytest.approx(gflop)
