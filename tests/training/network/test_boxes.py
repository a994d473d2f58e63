# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from training.network.boxes import decode, encode, overlaps

pytestmark = pytest.mark.training


def random_boxes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 400, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 110, (count, 2))], axis=1).astype(np.float32)


def test_decoding_what_was_encoded_gives_the_box_back() -> None:
    # References whose size differs by less than the bound on refinement.
    boxes = random_boxes(50)
    reference = boxes + np.random.default_rng(1).uniform(-2, 2, boxes.shape).astype(np.float32)
    np.testing.assert_allclose(decode(encode(boxes, reference), reference, 512), boxes, atol=1e-3)


@pytest.mark.parametrize("offset", [1e30, -1e30])
def test_wild_offsets_stay_inside_the_grid_and_never_empty(offset: float) -> None:
    box = decode(tf.fill((50, 4), offset), random_boxes(50), 512).numpy()
    assert box.min() >= 0
    assert box.max() <= 512
    assert (box[:, 2:] - box[:, :2]).min() >= 1


def test_overlap_is_the_intersection_over_the_union() -> None:
    a = tf.constant([[0.0, 0.0, 10.0, 10.0]])
    b = tf.constant([[0.0, 0.0, 10.0, 10.0], [0.0, 5.0, 10.0, 15.0], [20.0, 20.0, 30.0, 30.0]])
    np.testing.assert_allclose(overlaps(a, b)[0], [1.0, 1 / 3, 0.0], atol=1e-6)
