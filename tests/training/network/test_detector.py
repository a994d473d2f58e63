# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The inference graph against the contract."""

from __future__ import annotations

import pytest

pytest.importorskip("tensorflow", reason="needs the training environment")

import numpy as np
import tensorflow as tf

from appliance.reading import contract
from training.network.boxes import overlaps
from training.network.detections import Judged, detections, dismissed_outputs
from training.network.detector import Detector, scale
from training.network.rpn import SUPPRESSED_LOGIT, Proposals

pytestmark = pytest.mark.training


@pytest.fixture(scope="module")
def answer(edge: Detector) -> dict[str, np.ndarray]:
    hu = np.random.default_rng(0).normal(30, 300, contract.INPUT_SHAPE).astype(np.float32)
    return {name: value.numpy() for name, value in tf.function(edge.call)(tf.constant(hu)).items()}


def test_the_outputs_are_the_contracts(answer: dict[str, np.ndarray]) -> None:
    assert set(answer) == {output.name for output in contract.OUTPUTS}
    for output in contract.OUTPUTS:
        assert answer[output.name].shape == output.shape
        assert answer[output.name].dtype == output.dtype


def test_boxes_lie_in_the_grid_and_scores_fall(answer: dict[str, np.ndarray]) -> None:
    count = int(answer["detection_count"][0])
    assert count > 0
    boxes = answer["detection_box"][:count]
    assert boxes.min() >= 0
    assert boxes.max() <= contract.MATRIX
    assert (boxes[:, 2:] > boxes[:, :2]).all()
    best = answer["detection_score"][:count].max(axis=1)
    assert (np.diff(best) <= 0).all()
    assert best.min() >= contract.SCORE_FLOOR
    assert (answer["detection_slice"] < contract.CHUNK_SLICES).all()


def test_nan_and_infinite_hu_give_what_clean_hu_give(edge: Detector) -> None:
    clean = np.random.default_rng(1).normal(30, 300, contract.INPUT_SHAPE).astype(np.float32)
    dirty = clean.copy()
    clean[3, 10:20], clean[4, 10:20], clean[5, 10:20], clean[6, 10:20] = 0, 1000, -1000, 500
    dirty[3, 10:20], dirty[4, 10:20], dirty[5, 10:20], dirty[6, 10:20] = np.nan, np.inf, -np.inf, 1e38
    graph = tf.function(edge.call)
    expected, found = graph(tf.constant(clean)), graph(tf.constant(dirty))
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_scaling_in_the_graph_is_the_contracts() -> None:
    hu = np.array([-3000, -240, -100, 0, 37.5, 240, 5000, np.nan, np.inf, -np.inf], np.float32)
    np.testing.assert_allclose(scale(tf.constant(hu)), contract.scale_hu(hu), atol=1e-6)


def judge(boxes: list[list[float]], scores: list[list[float]], logits: list[float]) -> tuple[Judged, Proposals]:
    """One slice with these proposals, filled up to the 128 that the lists need."""
    padding = contract.MAX_DETECTIONS - len(boxes)
    box = tf.constant([boxes + padding * [[0.0, 0.0, 1.0, 1.0]]])
    score = tf.constant([scores + padding * [[0.0, 0.0, 0.0]]])
    candidates = Proposals(box, tf.constant([logits + padding * [SUPPRESSED_LOGIT]]))
    return Judged(box, score, tf.reduce_max(score, axis=-1) * candidates.valid), candidates


def flat_masks(boxes: tf.Tensor, slices: tf.Tensor) -> tf.Tensor:
    """Mask logits that say which type was asked for: -1, 0 and 1."""
    shape = (boxes.shape[0], contract.MASK_SIZE, contract.MASK_SIZE, 3)
    return tf.broadcast_to(tf.constant([-1.0, 0.0, 1.0]), shape)


def test_suppression_is_within_a_type_and_the_mask_is_the_best_types() -> None:
    box = [10.0, 10.0, 60.0, 60.0]
    state, _ = judge([box, box, box], [[0.9, 0, 0], [0.8, 0, 0], [0, 0.1, 0.7]], [3.0, 2.0, 1.0])
    out = detections(state, flat_masks)
    assert int(out["detection_count"][0]) == 2
    np.testing.assert_allclose(out["detection_score"][:3], [[0.9, 0, 0], [0, 0.1, 0.7], [0, 0, 0]])
    np.testing.assert_allclose(out["detection_mask"][:3, 5, 5], [1 / (1 + np.e), 1 / (1 + 1 / np.e), 0], rtol=1e-5)
    assert float(overlaps(out["detection_box"][:1], out["detection_box"][1:2])[0, 0]) == 1.0


def test_what_stays_below_the_floor_is_dismissed_by_falling_objectness() -> None:
    boxes = [[0.0, 0.0, 20.0, 20.0], [100.0, 100.0, 150.0, 150.0], [200.0, 200.0, 260.0, 260.0]]
    state, candidates = judge(boxes, [[0.01, 0.02, 0.01], [0.9, 0, 0], [0.04, 0, 0]], [-1.0, 0.5, 2.0])
    out = dismissed_outputs(state, candidates)
    assert int(out["dismissed_count"][0]) == 2
    np.testing.assert_allclose(out["dismissed_box"][:3], [boxes[2], boxes[0], [0, 0, 0, 0]])
    assert int(detections(state, flat_masks)["detection_count"][0]) == 1
