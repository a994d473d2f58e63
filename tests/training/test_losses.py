# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which proposals the classifier learns from."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np
import tensorflow as tf

from training.losses import NEGATIVES_PER_POSITIVE, POSITIVE_ROIS, _hardest, _sample, class_entropy, name_term
from training.network.classes import CLASSES, SUMMED, Named

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
    pieces = tf.constant([[piece]]), tf.constant([[3]])
    none = tf.zeros((1, 1, 4)), tf.zeros((1, 1), tf.int32)
    rois, kinds, *_ = _sample(candidates, valid, pieces, none, 512, keras.random.SeedGenerator(1))

    def learnt(box: list[int]) -> set[int]:
        return {int(kind) for roi, kind in zip(rois[0], kinds[0], strict=True) if roi.numpy().tolist() == box} - {-1}

    assert learnt(clear) == {0}
    assert learnt(fitting) == {3}
    assert not learnt(inside) | learnt(across)


def test_a_batch_without_a_negative_teaches_none() -> None:
    kinds = np.ones(40, np.int32)
    assert not _hardest(tf.ones(40), tf.constant(kinds)).numpy().any()


def test_a_negative_that_fits_a_mimic_has_its_name_and_one_that_only_touches_it_has_none() -> None:
    mimic = [200.0, 200.0, 240.0, 240.0]
    fitting, touching, clear = [205, 203, 245, 243], [235, 235, 300, 300], [400, 400, 440, 440]
    candidates = tf.constant([[fitting, touching, clear, *[[0, 0, 1, 1]] * 61]] * 2, tf.float32)
    valid = tf.constant([[1.0] * 3 + [0.0] * 61] * 2)
    nothing = tf.zeros((2, 2, 4)), tf.zeros((2, 2), tf.int32)
    known = [[Named.STAINING, 0], [-1, -1]]
    mimics = tf.constant([[mimic, [0.0] * 4]] * 2), tf.constant(known, tf.int32)
    rois, kinds, _, names = _sample(candidates, valid, nothing, mimics, 512, keras.random.SeedGenerator(1))

    def learnt(which: int) -> dict[tuple[float, ...], int]:
        seen = zip(rois[which].numpy(), kinds[which].numpy(), names[which].numpy(), strict=True)
        return {tuple(roi.tolist()): int(name) for roi, kind, name in seen if kind == 0}

    first = learnt(0)
    assert (first.pop(tuple(fitting)), first.pop(tuple(touching)), first.pop(tuple(clear))) == (Named.STAINING, -1, 0)
    assert list(first.values()) == [Named.STAINING]  # the mimic itself, displaced
    assert set(learnt(1).values()) == {-1}  # of a head whose mimics nobody knows


def test_no_hemorrhage_is_learnt_as_the_sum_of_its_parts() -> None:
    logits = np.random.default_rng(1).normal(0, 2, (6, CLASSES)).astype(np.float32)
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    kinds = np.array([0, 1, 2, 3, 0, -1], np.int32)
    found = class_entropy(tf.constant(logits), tf.constant(kinds)).numpy()
    for i, kind in enumerate(kinds):
        expected = share[i, kind] if kind > 0 else share[i, 0] + share[i, SUMMED:].sum()
        assert found[i] == pytest.approx(-np.log(expected), rel=1e-4)


def test_a_rare_name_counts_as_much_as_a_frequent_one_and_blood_has_none() -> None:
    sure = 5.0 * np.eye(CLASSES, dtype=np.float32)
    names = np.array([0] * 50 + [Named.STAINING] + [-1] * 9, np.int32)

    def term(answers: list[int]) -> float:
        return float(name_term(tf.constant(sure[answers]), tf.constant(names)))

    right = term([0] * 50 + [Named.STAINING] + [2] * 9)
    one_wrong = term([0] * 51 + [2] * 9)
    all_wrong = term([Named.TUMOUR] * 50 + [Named.STAINING] + [2] * 9)
    assert right < 0.1
    assert one_wrong == pytest.approx(all_wrong, rel=1e-3)
    assert one_wrong > 2.0
    assert float(name_term(tf.constant(sure), tf.constant([-1] * CLASSES))) == 0.0
