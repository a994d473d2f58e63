# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The named parts of "no hemorrhage": weights that know none answer as they did, and parts sum as they should."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import keras
import numpy as np
import tensorflow as tf

from tests.training.network.random_detector import random_detector
from training.network import heads
from training.network.classes import CLASSES, SUMMED, Named
from training.network.detector import Detector, Passage
from training.network.older_weights import widen, widen_checkpoint, with_all_classes
from training.network.rpn import Proposals
from training.network.variants import VARIANTS

pytestmark = pytest.mark.training


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> Detector:
    """A detector with the paper's four classes, which is what there was before any part had a name."""
    monkeypatch.setattr(heads, "CLASSES", SUMMED)
    detector = random_detector("edge", seed=3)
    monkeypatch.undo()
    return detector


@pytest.fixture
def chunk() -> tf.Tensor:
    rng = np.random.default_rng(1)
    hu = rng.normal(30, 8, (8, 512, 512)).astype(np.float32)
    for y, x, size in rng.integers(40, 400, (12, 3)):
        hu[:, y : y + size // 6, x : x + size // 6] += 45
    return tf.constant(hu)


def test_weights_without_named_parts_answer_as_before(older: Detector, chunk: tf.Tensor, tmp_path: Path) -> None:
    stored = tmp_path / "edge.weights.h5"
    older.save_weights(stored)
    expected = older(chunk)
    detector = Detector(VARIANTS["edge"])
    detector.build()
    detector.load_weights(stored)
    assert detector.classifier.logits.kernel.shape[-1] == CLASSES == SUMMED + len(Named)
    found = detector(chunk)
    assert int(expected["detection_count"][0]) > 2
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)
    assert [path.name for path in tmp_path.iterdir()] == [stored.name]  # which is left as it was


def test_a_checkpoint_without_named_parts_is_widened_with_its_moments_and_another_stays() -> None:
    rng = np.random.default_rng(2)
    arrays = {
        name: rng.normal(size=shape)
        for name, shape in {
            "detector/classifier/logits/kernel": (128, 4),
            "average/detector/classifier/logits/bias": (4,),
            "adam/detector_classifier_logits_kernel_velocity": (128, 4),
            "adam/detector_classifier_logits_bias_momentum": (4,),
            "detector/classifier/offsets/bias": (4,),
            "detector/mask_head/logits/bias": (3,),
        }.items()
    }
    wide = widen_checkpoint(arrays)
    assert [values.shape for values in wide.values()] == [(128, 8), (8,), (128, 8), (8,), (4,), (3,)]
    np.testing.assert_array_equal(wide["adam/detector_classifier_logits_bias_momentum"][4:], [
        arrays["adam/detector_classifier_logits_bias_momentum"][0]
    ] * 4)  # fmt: skip
    again = widen_checkpoint(wide)
    assert all(again[name] is wide[name] for name in wide)


def test_every_part_has_a_share_and_all_sum_to_what_there_was() -> None:
    bias = np.array([0.7, -1.0, 0.2, 0.4])
    wide = np.exp(widen(bias, bias=True))
    assert (wide > 0).all()
    assert wide[0] + wide[SUMMED:].sum() == pytest.approx(np.exp(bias[0]))
    np.testing.assert_allclose(wide[1:SUMMED], np.exp(bias[1:]))


def test_a_score_is_what_summed_probabilities_give() -> None:
    logits = np.random.default_rng(4).normal(0, 3, (1, 5, CLASSES)).astype(np.float32)
    boxes = tf.constant([[[10.0, 10.0, 50.0, 50.0]] * 5])
    seen = Passage([], None, None, Proposals(boxes, tf.zeros((1, 5))), boxes, tf.constant(logits), tf.zeros((1, 5, 4)))
    all_classes = keras.ops.softmax(logits).numpy()
    summed = all_classes[..., 0] + all_classes[..., SUMMED:].sum(axis=-1)
    np.testing.assert_allclose(seen.judge().scores.numpy().sum(axis=-1) + summed, 1.0, rtol=1e-5)


def test_weights_with_all_classes_are_loaded_from_where_they_lie(tmp_path: Path) -> None:
    stored = tmp_path / "edge.weights.h5"
    random_detector("edge").save_weights(stored)
    with with_all_classes(stored) as path:
        assert path == stored
    with with_all_classes(tmp_path / "none.h5") as path:  # refused by whoever opens it
        assert path == tmp_path / "none.h5"
