# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance import contract
from training.reading import Quality, StudyDetection, label_volume, quality, study_detections, study_score


def detection(z: int, box: list[float], scores: list[float], mask: np.ndarray | float = 1.0) -> StudyDetection:
    cells = np.broadcast_to(np.float32(mask), (contract.MASK_SIZE, contract.MASK_SIZE))
    return StudyDetection(z, np.array(box, np.float32), np.array(scores, np.float32), cells)


def test_chunks_are_put_together_and_each_slice_told_by_one_of_them() -> None:
    def run(hu: np.ndarray) -> dict[str, np.ndarray]:
        # A detection on the chunk's targets 0 and 15, the box at the HU of the first.
        box = np.zeros((contract.MAX_DETECTIONS, 4), np.float32)
        box[:2] = [hu[2, 0, 0], 0, hu[2, 0, 0] + 8, 8]
        number = np.zeros(contract.MAX_DETECTIONS, np.int32)
        number[1] = 15
        score = np.full((contract.MAX_DETECTIONS, 3), 0.5, np.float32)
        mask = np.ones((contract.MAX_DETECTIONS, contract.MASK_SIZE, contract.MASK_SIZE), np.float32)
        return {
            "detection_count": np.array([2], np.int32),
            "detection_slice": number,
            "detection_box": box,
            "detection_score": score,
            "detection_mask": mask,
        }

    hu = np.zeros((20, contract.MATRIX, contract.MATRIX), np.int16)
    hu[:, 0, 0] = np.arange(20)
    found = study_detections(run, hu)
    assert [(one.slice_index, float(one.box[0])) for one in found] == [(0, 0.0), (15, 0.0), (19, 4.0)]
    # A study shorter than a chunk: its second detection lies on padding.
    assert [one.slice_index for one in study_detections(run, hu[:10])] == [0]


def test_the_study_score_is_the_highest_of_any_slice() -> None:
    found = [detection(0, [0, 0, 8, 8], [0.1, 0.3, 0.0]), detection(5, [0, 0, 8, 8], [0.0, 0.2, 0.7])]
    assert study_score(found) == pytest.approx(0.7)
    assert study_score([]) == 0.0


def test_a_full_mask_fills_exactly_the_pixels_whose_centre_is_in_the_box() -> None:
    volume = label_volume([detection(1, [10.2, 20.6, 14.2, 30.4], [0.0, 0.9, 0.0])], 3, 0.5)
    expected = np.zeros_like(volume)
    expected[1, 10:14, 21:30] = 2
    np.testing.assert_array_equal(volume, expected)


def test_half_a_mask_fills_half_the_box() -> None:
    mask = np.zeros((contract.MASK_SIZE, contract.MASK_SIZE), np.float32)
    mask[:, : contract.MASK_SIZE // 2] = 1
    volume = label_volume([detection(0, [100, 100, 200, 300], [0.9, 0.0, 0.0], mask)], 1, 0.5)
    expected = np.zeros_like(volume)
    expected[0, 100:200, 100:200] = 1
    np.testing.assert_array_equal(volume, expected)


def test_the_surest_detection_wins_and_those_below_the_threshold_leave_nothing() -> None:
    found = [
        detection(0, [0, 0, 10, 10], [0.9, 0.0, 0.0]),
        detection(0, [0, 5, 10, 15], [0.0, 0.0, 0.6]),
        detection(0, [50, 50, 60, 60], [0.0, 0.4, 0.0]),
    ]
    plane = label_volume(found, 1, 0.5)[0]
    assert (plane[0, :10] == 1).all()
    assert (plane[0, 10:15] == 3).all()
    assert not plane[50:].any()


def test_the_suggested_threshold_separates_what_can_be_separated() -> None:
    figures = Quality(np.array([0.99, 0.95, 0.9, 0.3, 0.2, 0.0]), np.array([5.0, 5.0, 5.0, 0, 0, 0]), {}, 0.5)
    threshold = figures.best_threshold()
    assert 0.3 < threshold < 0.9
    assert figures.auc == 1.0
    assert figures.sensitivity(threshold) == figures.specificity(threshold) == 1.0


def test_the_area_under_the_curve_counts_ties_half() -> None:
    figures = Quality(np.array([0.9, 0.5, 0.5, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]), {}, 0.5)
    assert figures.auc == pytest.approx(3.5 / 4)


def test_specks_of_blood_have_no_say_in_the_threshold() -> None:
    def run(hu: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "detection_count": np.array([1]),
            "detection_slice": np.array([0]),
            "detection_box": np.array([[10, 10, 60, 60]], np.float32),
            "detection_score": np.array([[hu.max() / 100, 0, 0]], np.float32),
            "detection_mask": np.ones((1, contract.MASK_SIZE, contract.MASK_SIZE), np.float32),
        }

    def study(score: int, blood: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros((contract.CHUNK_SLICES, contract.MATRIX, contract.MATRIX), np.uint8)
        labels[0].flat[:blood] = 1
        return np.full(labels.shape, score, np.int16), labels

    studies = [study(90, 5000), *(study(50, 10) for _ in range(3)), study(60, 0), study(20, 0), study(20, 0)]
    assert 0.6 < quality(run, studies).threshold < 0.9
