# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which proposals the classifier learns from."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np
import tensorflow as tf

from training.losses import NEGATIVES_PER_POSITIVE, POSITIVE_ROIS, _hardest, _sample

pytestmark = pytest.mark.training


def test_of_negatives_clear_of_blood_the_worst_scored_are_learnt_three_a_positive() -> None:
    positives = 2 * POSITIVE_ROIS
    kinds = np.array([1] * positives + [0] * 400 + [-1] * 50, np.int32)
    entropy = np.random.default_rng(1).uniform(0, 5, kinds.size).astype(np.float32)
    learnt = _hardest(tf.constant(entropy), tf.constant(kinds)).numpy() > 0
    assert learnt.sum() == NEGATIVES_PER_POSITIVE * positives
    assert set(kinds[learnt]) == {0}
    passed_over = (kinds == 0) & ~learnt
    assert entropy[learnt].min() > entropy[passed_over].max()


def test_a_proposal_that_touches_blood_without_fitting_it_is_not_learnt_as_a_false_alarm() -> None:
    piece = [100.0, 100.0, 228.0, 228.0]
    inside, across = [120, 120, 160, 160], [164, 164, 292, 292]
    clear, fitting = [300, 300, 340, 340], [102, 98, 230, 226]
    candidates = tf.constant([[inside, across, clear, fitting, *[[0, 0, 1, 1]] * 60]], tf.float32)
    valid = tf.constant([[1.0] * 4 + [0.0] * 60])
    rois, kinds, _ = _sample(
        candidates, valid, tf.constant([[piece]]), tf.constant([[3]]), 512, keras.random.SeedGenerator(1)
    )

    def learnt(box: list[int]) -> set[int]:
        return {int(kind) for roi, kind in zip(rois[0], kinds[0], strict=True) if roi.numpy().tolist() == box} - {-1}

    assert learnt(clear) == {0}
    assert learnt(fitting) == {3}
    assert not learnt(inside) | learnt(across)


def test_a_batch_without_a_negative_teaches_none() -> None:
    kinds = np.ones(40, np.int32)
    assert not _hardest(tf.ones(40), tf.constant(kinds)).numpy().any()
