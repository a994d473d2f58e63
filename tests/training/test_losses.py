# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which proposals the classifier learns from."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from training.losses import NEGATIVES_PER_POSITIVE, POSITIVE_ROIS, _hardest

pytestmark = pytest.mark.training


def test_of_negatives_clear_of_blood_the_worst_scored_are_learnt_three_a_positive() -> None:
    positives = 2 * POSITIVE_ROIS
    kinds = np.array([1] * positives + [0] * 400 + [-1] * 50, np.int32)
    entropy = np.random.default_rng(1).uniform(0, 5, kinds.size).astype(np.float32)
    learnt = _hardest(tf.constant(entropy), tf.constant(kinds), tf.ones(kinds.size)).numpy() > 0
    assert learnt.sum() == NEGATIVES_PER_POSITIVE * positives
    assert set(kinds[learnt]) == {0}
    passed_over = (kinds == 0) & ~learnt
    assert entropy[learnt].min() > entropy[passed_over].max()


def test_proposals_that_touch_blood_do_not_crowd_out_the_false_alarms() -> None:
    kinds = np.zeros(200, np.int32)
    clear = np.repeat([1.0, 0.0], 100).astype(np.float32)
    entropy = np.where(clear > 0, 1.0, 9.0).astype(np.float32)
    learnt = _hardest(tf.constant(entropy), tf.constant(kinds), tf.constant(clear)).numpy() > 0
    assert learnt[:100].all()


def test_a_batch_without_a_negative_teaches_none() -> None:
    kinds = np.ones(40, np.int32)
    assert not _hardest(tf.ones(40), tf.constant(kinds), tf.ones(40)).numpy().any()
