# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The dense head: what its loss asks for, and that nothing of it is exported."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from training.dense import KINDS, STRIDE, DenseHead, dense_term
from training.network.detector import Detector
from training.network.variants import VARIANTS

pytestmark = pytest.mark.training


@pytest.fixture
def labels() -> np.ndarray:
    made = np.zeros((2, 64, 64), np.uint8)
    made[0, 8:24, 8:24] = 1
    made[1, 40:42, 0:64] = 3
    return made


def logits_of(labels: np.ndarray, sureness: float = 12.0) -> tf.Tensor:
    """Return the logits of someone who knows the commonest kind of each cell."""
    cells = labels.reshape(2, 16, STRIDE, 16, STRIDE).max(axis=(2, 4))
    return tf.one_hot(cells, KINDS) * sureness


def test_the_loss_is_lowest_for_the_truth_and_higher_for_another_type_or_none(labels: np.ndarray) -> None:
    truth = float(dense_term(logits_of(labels), tf.constant(labels)))
    other = np.where(labels == 1, 2, labels)
    assert truth < float(dense_term(logits_of(other), tf.constant(labels)))
    assert truth < float(dense_term(logits_of(0 * labels), tf.constant(labels)))


def test_blood_in_every_cell_is_a_worse_answer_than_none_where_there_is_none(labels: np.ndarray) -> None:
    empty = tf.constant(0 * labels)
    assert float(dense_term(logits_of(0 * labels), empty)) < 1e-3
    assert float(dense_term(logits_of(0 * labels + 3), empty)) > 1.0


def test_thin_blood_that_fills_half_a_cell_is_taught_as_half(labels: np.ndarray) -> None:
    thin = labels * (labels == 3)
    shares = np.zeros((2, 16, 16, KINDS), np.float32)
    shares[..., 0] = 1
    shares[1, 10, :, 0] = shares[1, 10, :, 3] = 0.5
    exact = dense_term(tf.math.log(shares + 1e-9), tf.constant(thin))
    assert float(exact) < float(dense_term(logits_of(thin), tf.constant(thin)))
    assert float(exact) < float(dense_term(logits_of(0 * thin), tf.constant(thin)))


def test_the_head_answers_at_every_cell_and_is_no_part_of_the_detector() -> None:
    variant = VARIANTS["edge"]
    head = DenseHead(variant)
    head.build()
    assert head(tf.zeros((3, 16, 16, variant.pyramid))).shape == (3, 16, 16, KINDS)
    detector = Detector(variant)
    detector.build()
    assert not {v.path for v in head.variables} & {v.path for v in detector.variables}
