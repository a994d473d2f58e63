# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from appliance.reading import contract
from tests.training.made_detections import SPACING_MM, detection
from training.reading import LabelledStudy, Quality, quality, study_score


def test_the_study_score_is_the_highest_of_any_slice() -> None:
    found = [detection(0, [0, 0, 8, 8], [0.1, 0.3, 0.0]), detection(5, [0, 0, 8, 8], [0.0, 0.2, 0.7])]
    assert study_score(found) == pytest.approx(0.7)
    assert study_score([]) == 0.0


def test_the_suggested_threshold_separates_what_can_be_separated() -> None:
    figures = Quality(np.array([0.99, 0.95, 0.9, 0.3, 0.2, 0.0]), np.array([5.0, 5.0, 5.0, 0, 0, 0]), {}, 0.5)
    threshold = figures.best_threshold()
    assert 0.3 < threshold < 0.9
    assert figures.auc == 1.0
    assert figures.sensitivity(threshold) == figures.specificity(threshold) == 1.0


def test_scores_that_crowd_near_one_leave_a_threshold_that_can_be_passed() -> None:
    figures = Quality(np.array([0.99995, 0.9998, 0.9994, 0.9]), np.array([5.0, 5.0, 0, 0]), {}, 0.5)
    threshold = figures.best_threshold()
    assert 0.9994 < threshold < 0.9998
    assert figures.sensitivity(threshold) == figures.specificity(threshold) == 1.0


def test_specks_of_blood_have_no_say_in_the_threshold() -> None:
    def run(hu: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "detection_count": np.array([1]),
            "detection_slice": np.array([0]),
            "detection_box": np.array([[10, 10, 60, 60]], np.float32),
            "detection_score": np.array([[hu.max() / 100, 0, 0]], np.float32),
            "detection_mask": np.ones((1, contract.MASK_SIZE, contract.MASK_SIZE), np.float32),
        }

    def study(score: int, blood: int) -> LabelledStudy:
        labels = np.zeros((contract.CHUNK_SLICES, contract.MATRIX, contract.MATRIX), np.uint8)
        labels[0].flat[:blood] = 1
        return LabelledStudy(np.full(labels.shape, score, np.int16), labels, SPACING_MM)

    studies = [study(90, 5000), *(study(50, 10) for _ in range(3)), study(60, 0), study(20, 0), study(20, 0)]
    assert 0.6 < quality(run, studies).threshold < 0.9


def test_dice_counts_every_voxel_of_every_study_by_type() -> None:
    def run(hu: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "detection_count": np.array([1]),
            "detection_slice": np.array([0]),
            "detection_box": np.array([[0, 0, 10, 10]], np.float32),
            "detection_score": np.array([[0.9, 0, 0]], np.float32) * (hu.max() > 0),
            "detection_mask": np.ones((1, contract.MASK_SIZE, contract.MASK_SIZE), np.float32),
        }

    def study(present: int, rows: int, label: int) -> LabelledStudy:
        labels = np.zeros((2, contract.MATRIX, contract.MATRIX), np.uint8)
        labels[0, :rows, :20] = label
        return LabelledStudy(np.full(labels.shape, present, np.int16), labels, SPACING_MM)

    # One at a time: a generator is read through once.
    figures = quality(run, (study(*one) for one in ((1, 20, 1), (1, 15, 2), (0, 0, 0))))
    assert figures.dice["iph"] == pytest.approx(2 * 100 / (100 + 100 + 400))
    assert figures.dice["edh_sdh"] == 0
    assert np.isnan(figures.dice["sah"])
    assert figures.truths.tolist() == [400, 300, 0]
