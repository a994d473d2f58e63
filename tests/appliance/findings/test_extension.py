# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What detections below the threshold add to the lesions of those at it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from numpy.typing import NDArray

from appliance.findings.find import find
from appliance.findings.finding import Finding
from appliance.reading.contract import MASK_SIZE, TYPES, HemorrhageType
from appliance.reading.detections import Detection
from appliance.reading.lesions import Criteria
from appliance.reading.masks import patch
from appliance.sections.answers import FindingSettings
from tests.appliance.phantom import detection, full, made_volume, reading_of, stroke_reading

IPH, EDH_SDH, SAH = HemorrhageType.IPH, HemorrhageType.EDH_SDH, HemorrhageType.SAH
CRITERIA = Criteria(threshold=0.9, extend_score=0.5, join_mm=10)
BOX = (200.0, 200.0, 280.0, 280.0)
VOLUME = made_volume(matrix=(128, 128), spacing_mm=(1.8, 1.8))
"""Slices 5 mm apart; 4 pixels of the detector's grid, 1.8 mm, are one voxel."""


def answer(*detections: Detection, criteria: Criteria = CRITERIA) -> Finding:
    return find(reading_of(*detections), VOLUME, criteria)


def solid(
    slice_index: int, score: float, type_: HemorrhageType = SAH, box: tuple[float, float, float, float] = BOX
) -> Detection:
    """A detection whose mask fills its box."""
    return detection(slice_index, box, type_, score, full())


def types_of(finding: Finding) -> NDArray[np.uint8]:
    """The label of each voxel's type, 0 for none."""
    return np.array([0, *(lesion.type.label for lesion in finding.lesions)], np.uint8)[finding.lesion_map]


def test_less_sure_detections_extend_a_lesion_over_the_slices_around_it() -> None:
    (lesion,) = answer(solid(4, 0.5), solid(5, 0.95), solid(6, 0.7), solid(7, 0.89)).lesions
    assert lesion.slices == (4, 5, 6, 7)
    assert lesion.volume_ml == pytest.approx(4 * 20 * 20 * 1.8 * 1.8 * 5 / 1000)


def test_a_lesion_is_as_sure_as_its_surest_detection() -> None:
    assert [lesion.confidence for lesion in answer(solid(5, 0.95), solid(6, 0.7)).lesions] == [0.95]


def test_without_a_detection_at_the_threshold_a_study_stays_negative_and_empty() -> None:
    finding = answer(solid(5, 0.89), solid(6, 0.7))
    assert (finding.present, finding.probability, finding.lesions, finding.counted) == (False, 0.89, (), ())
    assert not finding.lesion_map.any()


def test_detections_below_the_extending_score_add_nothing() -> None:
    (lesion,) = answer(solid(5, 0.95), solid(6, 0.49)).lesions
    assert lesion.slices == (5,)


@pytest.mark.parametrize(("first_column", "voxels"), [(300, 2), (304, 1)])
def test_only_what_lies_within_the_joining_distance_of_a_lesion_extends_it(first_column: float, voxels: int) -> None:
    # Columns 276 and 300 are voxels 69 and 75: 10.8 mm. With 11 mm the first is reached and the next is not.
    near, far = (200, 276, 204, 280), (200, first_column, 204, first_column + 4)
    finding = answer(solid(5, 0.95, box=near), solid(5, 0.6, box=far), criteria=replace(CRITERIA, join_mm=11))
    assert [np.count_nonzero(finding.lesion_map == lesion.number) for lesion in finding.lesions] == [voxels]


def test_an_extension_may_reach_a_lesion_through_another_extension() -> None:
    boxes = [(200, 200 + 32 * step, 220, 220 + 32 * step) for step in range(4)]
    scores = [0.95, 0.6, 0.5, 0.7]
    chain = [solid(5, score, box=box) for score, box in zip(scores, boxes, strict=True)]
    assert np.count_nonzero(answer(*chain).lesion_map) == 4 * 5 * 5
    assert np.count_nonzero(answer(chain[0], *chain[2:]).lesion_map) == 5 * 5


def test_an_extension_between_two_lesions_makes_them_one() -> None:
    first, last = solid(2, 0.95), solid(8, 0.92)
    assert len(answer(first, last).lesions) == 2
    (lesion,) = answer(first, *(solid(z, 0.6) for z in range(3, 8)), last).lesions
    assert lesion.slices == tuple(range(2, 9))


def test_a_lesion_is_not_extended_by_detections_of_another_type() -> None:
    finding = answer(solid(5, 0.95, IPH), solid(5, 0.8, SAH, (200, 280, 280, 320)), solid(6, 0.8, SAH))
    assert [(lesion.type, lesion.slices) for lesion in finding.lesions] == [(IPH, (5,))]
    assert [one.type for one in finding.counted] == [IPH]


def test_a_sure_detection_of_another_type_keeps_its_voxels_from_a_stronger_claim_of_an_extending_one() -> None:
    unclear = np.full((MASK_SIZE, MASK_SIZE), 0.51, np.float32)
    sure = detection(5, BOX, IPH, 0.9, unclear)
    finding = answer(sure, solid(5, 0.89, SAH, (200, 240, 280, 320)), solid(5, 0.95, SAH, (200, 320, 280, 360)))
    np.testing.assert_array_equal(types_of(finding)[5, 50:70, 50:70], IPH.label)
    np.testing.assert_array_equal(types_of(finding)[5, 50:70, 70:90], SAH.label)


def test_of_two_types_that_extend_over_a_voxel_the_one_with_more_confidence_times_probability_takes_it() -> None:
    finding = answer(solid(5, 0.99, IPH), solid(6, 0.6, IPH), solid(7, 0.91, SAH), solid(6, 0.8, SAH))
    by_type = {lesion.type: lesion.slices for lesion in finding.lesions}
    assert by_type == {IPH: (5,), SAH: (6, 7)}


def test_a_detection_that_extends_nothing_takes_no_voxel_from_one_that_does() -> None:
    elsewhere = (400.0, 400.0, 440.0, 440.0)
    finding = answer(solid(5, 0.95, IPH), solid(6, 0.6, IPH), solid(0, 0.95, SAH, elsewhere), solid(6, 0.8, SAH))
    by_type = {lesion.type: lesion.slices for lesion in finding.lesions}
    assert by_type == {IPH: (5, 6), SAH: (0,)}


def test_a_piece_that_reaches_no_lesion_takes_no_voxel_from_another_type_s_extension() -> None:
    two_ends = np.zeros((MASK_SIZE, MASK_SIZE), np.float32)
    two_ends[:, :8] = two_ends[:, -8:] = 1
    reaching = detection(6, (200, 40, 240, 280), SAH, 0.89, two_ends)  # its other end lies 77 mm away
    finding = answer(solid(5, 0.95, SAH, (200, 40, 240, 80)), solid(5, 0.95, IPH), solid(6, 0.6, IPH), reaching)
    by_type = {lesion.type: lesion.slices for lesion in finding.lesions}
    assert by_type == {IPH: (5, 6), SAH: (5, 6)}
    np.testing.assert_array_equal(types_of(finding)[6, 50:60, 50:70], IPH.label)


def test_a_sure_detection_without_a_voxel_of_its_own_is_not_extended() -> None:
    # The IPH takes all that the SAH claims on slice 5; what SAH lies beside it on slice 6 then extends nothing.
    finding = answer(solid(5, 0.99, IPH), solid(5, 0.91, SAH), solid(6, 0.8, SAH))
    assert [(lesion.type, lesion.slices) for lesion in finding.lesions] == [(IPH, (5,))]


def test_detections_that_count_are_named_those_at_the_threshold_first() -> None:
    below, sure, extending = solid(4, 0.4), solid(5, 0.95), solid(6, 0.6)
    elsewhere = solid(11, 0.8, box=(400, 400, 440, 440))
    assert answer(below, extending, elsewhere, sure).counted == (sure, extending)


def test_an_extending_score_equal_to_the_threshold_extends_nothing() -> None:
    off = replace(CRITERIA, extend_score=CRITERIA.threshold)
    (lesion,) = answer(solid(4, 0.89), solid(5, 0.9), solid(6, 0.89), criteria=off).lesions
    assert lesion.slices == (5,)


def test_the_order_of_detections_does_not_matter_to_the_extension() -> None:
    criteria = Criteria(0.84, 0.5, 10)
    there = find(stroke_reading(), VOLUME, criteria)
    back = find(replace(stroke_reading(), detections=stroke_reading().detections[::-1]), VOLUME, criteria)
    assert [lesion.type for lesion in there.lesions] == [IPH, EDH_SDH]
    assert there.lesions == back.lesions
    np.testing.assert_array_equal(there.lesion_map, back.lesion_map)


def test_an_extending_score_above_the_threshold_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.6 lies above the threshold 0\.5"):
        Criteria(0.5, 0.6, 10)


@pytest.mark.parametrize(
    ("settings", "suggested", "scores"),
    [
        (FindingSettings(), 0.9, (0.9, 0.5)),
        (FindingSettings(threshold=0.8, extend_score=0.6), 0.9, (0.8, 0.6)),
        (FindingSettings(threshold=0.3), 0.9, (0.3, 0.3)),
        (FindingSettings(extend_score=0.6), 0.4, (0.4, 0.4)),
    ],
)
def test_the_models_suggestion_is_the_threshold_where_the_site_sets_none_and_nothing_extends_from_above_it(
    settings: FindingSettings, suggested: float, scores: tuple[float, float]
) -> None:
    criteria = Criteria.of(settings, suggested)
    assert (criteria.threshold, criteria.extend_score) == scores
    assert criteria.extends is (scores[1] < scores[0])


DETECTIONS = st.builds(
    lambda z, y, x, high, wide, type_, score: solid(z, score, type_, (y, x, y + high, x + wide)),
    st.integers(0, 11),
    st.integers(160, 300),
    st.integers(160, 300),
    st.integers(1, 120),
    st.integers(1, 120),
    st.sampled_from(TYPES),
    st.sampled_from([0.4, 0.5, 0.6, 0.89, 0.9, 0.95, 1.0]),
)


@examples(max_examples=60, deadline=None)
@given(st.lists(DETECTIONS, max_size=10))
def test_an_extension_changes_no_answer_and_no_voxel_of_a_sure_detection(detections: list[Detection]) -> None:
    finding = answer(*detections)
    without = answer(*detections, criteria=replace(CRITERIA, extend_score=CRITERIA.threshold))
    present = any(one.score >= CRITERIA.threshold for one in detections)
    assert (finding.present, finding.probability) == (present, without.probability)
    assert bool(finding.lesions) is present
    assert all(lesion.confidence >= CRITERIA.threshold for lesion in finding.lesions)
    sure = without.lesion_map > 0
    np.testing.assert_array_equal(types_of(finding)[sure], types_of(without)[sure])
    assert {int(number) for number in np.unique(finding.lesion_map[sure])} == {one.number for one in finding.lesions}
    assert {int(number) for number in np.unique(finding.lesion_map)} - {0} == {one.number for one in finding.lesions}
    counted = np.zeros(VOLUME.hu.shape, bool)
    for one in (patch(one, (128, 128)) for one in finding.counted):
        counted[one.window] |= one.blood
    assert not finding.lesion_map[~counted].any()
