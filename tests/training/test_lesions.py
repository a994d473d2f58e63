# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

pytest.importorskip("pydantic_settings", reason="compares with the service, whose environment it needs")

import numpy as np

from appliance.findings.find import find
from appliance.findings.finding import Criteria
from appliance.inference.detections import Box, Detection
from appliance.reading import contract
from tests.appliance.phantom import made_volume, reading_of
from tests.training.made_detections import SPACING_MM, detection
from training.lesions import StudyDetection, label_volume


def test_a_full_mask_fills_exactly_the_pixels_whose_centre_is_in_the_box() -> None:
    volume = label_volume([detection(1, [10.2, 20.6, 14.2, 30.4], [0.0, 0.9, 0.0])], 3, 0.5, SPACING_MM)
    expected = np.zeros_like(volume)
    expected[1, 10:14, 21:30] = 2
    np.testing.assert_array_equal(volume, expected)


def test_half_a_mask_fills_half_the_box() -> None:
    mask = np.zeros((contract.MASK_SIZE, contract.MASK_SIZE), np.float32)
    mask[:, : contract.MASK_SIZE // 2] = 1
    volume = label_volume([detection(0, [100, 100, 200, 300], [0.9, 0.0, 0.0], mask)], 1, 0.5, SPACING_MM)
    expected = np.zeros_like(volume)
    expected[0, 100:200, 100:200] = 1
    np.testing.assert_array_equal(volume, expected)


def test_the_surest_detection_wins_and_those_below_the_threshold_leave_nothing() -> None:
    found = [
        detection(0, [0, 0, 10, 10], [0.9, 0.0, 0.0]),
        detection(0, [0, 5, 10, 15], [0.0, 0.0, 0.6]),
        detection(0, [50, 50, 60, 60], [0.0, 0.4, 0.0]),
    ]
    plane = label_volume(found, 1, 0.5, SPACING_MM)[0]
    assert (plane[0, :10] == 1).all()
    assert (plane[0, 10:15] == 3).all()
    assert not plane[50:].any()


def test_less_sure_detections_extend_a_lesion_of_their_type_within_reach_and_none_else() -> None:
    box, far, other = [100, 100, 140, 140], [300, 300, 340, 340], [100, 400, 140, 440]
    found = [
        detection(2, box, [0.9, 0, 0]),
        detection(3, box, [0.6, 0, 0]),  # touches it
        detection(5, box, [0.6, 0, 0]),  # 10 mm further: joined through the one before
        detection(5, far, [0.7, 0, 0]),  # out of reach
        detection(2, other, [0, 0.7, 0]),  # of a type that nothing at the threshold is of
        detection(4, box, [0.4, 0, 0]),  # not sure enough to extend
    ]
    volume = label_volume(found, 8, 0.8, SPACING_MM)
    expected = np.zeros_like(volume)
    expected[[2, 3, 5], 100:140, 100:140] = 1
    np.testing.assert_array_equal(volume, expected)


@pytest.mark.parametrize("seed", range(6))
def test_the_voxels_are_those_that_the_service_gives(seed: int) -> None:
    draw = np.random.default_rng(seed)
    spacing_mm = (5.3, 0.47, 0.47)
    made: list[StudyDetection] = []
    for _ in range(24):
        corner = draw.uniform(150, 260, 2)
        scores = draw.dirichlet([0.3, 0.3, 0.3]) * draw.uniform(0.4, 1)
        mask = draw.random((4, 4), np.float32).repeat(14, axis=0).repeat(14, axis=1)
        made.append(detection(int(draw.integers(7)), [*corner, *(corner + draw.uniform(6, 60, 2))], scores, mask))
    volume = made_volume(
        matrix=(contract.MATRIX, contract.MATRIX),
        spacing_mm=spacing_mm[1:],
        positions_mm=np.arange(7) * spacing_mm[0],
    )
    theirs = [
        Detection(one.slice_index, Box(*map(float, one.box)), tuple(map(float, one.scores)), np.asarray(one.mask))
        for one in made
    ]
    threshold = 0.7
    finding = find(reading_of(*theirs), volume, Criteria(threshold, contract.EXTEND_SCORE, contract.JOIN_MM))
    types = np.array([0, *(lesion.type.label for lesion in finding.lesions)], np.uint8)[finding.lesion_map]
    sure = {one.label for one in made if one.score >= threshold}
    assert any(contract.EXTEND_SCORE <= one.score < threshold and one.label in sure for one in made)
    np.testing.assert_array_equal(label_volume(made, 7, threshold, spacing_mm), types)
