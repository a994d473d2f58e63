# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from training.network.boxes import overlaps
from training.network.nms import keep_best

pytestmark = pytest.mark.training


def greedy(boxes: np.ndarray, threshold: float) -> np.ndarray:
    overlap = overlaps(tf.constant(boxes), tf.constant(boxes)).numpy()
    keep = np.zeros(len(boxes))
    for i in range(len(boxes)):
        keep[i] = not any(keep[j] and overlap[j, i] > threshold for j in range(i))
    return keep


def test_the_fixed_point_keeps_what_greedy_suppression_keeps() -> None:
    rng = np.random.default_rng(0)
    for crowding in (20, 60, 200, 450):
        corner = rng.uniform(0, crowding, (4, 256, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (4, 256, 2))], axis=-1).astype(np.float32)
        for threshold in (0.4, 0.6):
            keep = keep_best(tf.constant(boxes), threshold).numpy()
            for slice_boxes, slice_keep in zip(boxes, keep, strict=True):
                np.testing.assert_array_equal(slice_keep, greedy(slice_boxes, threshold))


def test_a_chain_of_suppressions_is_resolved_in_order() -> None:
    # Each box overlaps only the next: the first suppresses the second, which may not suppress the third.
    boxes = np.array([[[0, 4 * i, 10, 4 * i + 10] for i in range(10)]], np.float32)
    np.testing.assert_array_equal(keep_best(tf.constant(boxes), 0.3).numpy()[0], [1, 0] * 5)
