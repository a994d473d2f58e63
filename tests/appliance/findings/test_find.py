# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The study's answer from a reading."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.findings.find import find
from appliance.imaging.volume import Turn
from appliance.reading.contract import BRIGHTEST_CLOT_HU, MASK_SIZE, HemorrhageType, SizeClass
from appliance.reading.lesions import Criteria
from tests.appliance.phantom import boneless, detection, full, made_volume, reading_of, stroke_reading

IPH, EDH_SDH, SAH = HemorrhageType.IPH, HemorrhageType.EDH_SDH, HemorrhageType.SAH


def plain(threshold: float, join_mm: float = 10) -> Criteria:
    """Criteria by which nothing below the threshold counts."""
    return Criteria(threshold, threshold, join_mm)


def test_a_reading_without_detections_is_negative() -> None:
    finding = find(reading_of(), made_volume(), plain(0.5))
    assert (finding.present, finding.probability, finding.lesions) == (False, 0.0, ())
    assert not finding.lesion_map.any()


def test_detections_below_the_threshold_give_a_probability_and_no_lesion() -> None:
    finding = find(reading_of(detection(3, (100, 100, 200, 200), score=0.49)), made_volume(), plain(0.5))
    assert (finding.present, finding.probability, finding.lesions) == (False, 0.49, ())


def test_one_detection_at_the_threshold_makes_the_study_positive() -> None:
    finding = find(reading_of(detection(3, (100, 100, 200, 200), score=0.5)), made_volume(), plain(0.5))
    assert finding.present
    assert finding.probability == 0.5
    assert [(lesion.type, lesion.slices) for lesion in finding.lesions] == [(IPH, (3,))]


def test_a_positive_study_has_a_lesion_even_when_its_mask_is_empty() -> None:
    empty = np.zeros((MASK_SIZE, MASK_SIZE), np.float32)
    finding = find(reading_of(detection(3, (100, 100, 200, 200), mask=empty)), made_volume(), plain(0.5))
    assert finding.present
    assert (finding.lesion_map > 0).sum() == 1
    assert finding.lesions[0].volume_ml == pytest.approx(2.4 * 2.4 * 5 / 1000)


def test_no_lesion_holds_bone_where_a_mask_runs_into_the_skull() -> None:
    volume = made_volume(matrix=(512, 512), spacing_mm=(0.45, 0.45))
    finding = find(reading_of(detection(3, (200, 20, 300, 140), mask=full())), volume, plain(0.5))
    inside = volume.hu[3, 200:300, 20:140]
    assert (inside > BRIGHTEST_CLOT_HU).any()
    assert volume.hu[finding.lesion_map > 0].max() <= BRIGHTEST_CLOT_HU
    assert (finding.lesion_map > 0).sum() == (inside <= BRIGHTEST_CLOT_HU).sum()


def test_volume_is_pixel_area_times_the_distance_between_positions_slice_by_slice() -> None:
    positions = np.array([0, 2.5, 5, 7.5, 12.5, 17.5, 22.5])
    volume = boneless(made_volume(matrix=(96, 64), spacing_mm=(2.0, 3.0), positions_mm=positions))
    # A field of 192 x 192 mm: 16 x 24 grid pixels are three by three voxels.
    reading = reading_of(*(detection(z, (80, 80, 160, 120), mask=full()) for z in (2, 3, 4)))
    (lesion,) = find(reading, volume, plain(0.5)).lesions
    area_mm2 = 15 * 2.0 * 5 * 3.0
    assert lesion.volume_ml == pytest.approx(area_mm2 * (2.5 + 3.75 + 5.0) / 1000)
    assert lesion.slices == (2, 3, 4)


def test_the_type_with_more_confidence_times_probability_takes_a_voxel_that_two_claim() -> None:
    sure, unsure = full(), np.full((MASK_SIZE, MASK_SIZE), 0.6, np.float32)
    reading = reading_of(
        detection(3, (100, 100, 300, 300), IPH, 0.9, unsure), detection(3, (100, 200, 300, 400), SAH, 0.6, sure)
    )
    finding = find(reading, boneless(made_volume(matrix=(512, 512), spacing_mm=(0.4, 0.4))), plain(0.5))
    by_type = {lesion.type: lesion.number for lesion in finding.lesions}
    assert (finding.lesion_map[3, 200, 200:300] == by_type[SAH]).all()
    assert (finding.lesion_map[3, 200, 100:200] == by_type[IPH]).all()


def test_types_are_never_joined() -> None:
    reading = reading_of(
        detection(3, (100, 100, 200, 200), IPH, mask=full()), detection(3, (100, 200, 200, 300), SAH, mask=full())
    )
    finding = find(reading, made_volume(), plain(0.5))
    assert {lesion.type for lesion in finding.lesions} == {IPH, SAH}


def test_pieces_of_one_type_near_each_other_are_one_lesion_and_far_ones_are_not() -> None:
    # 512 pixels over 96 * 2.4 mm: 10 mm are 22 pixels of the grid.
    near = find(
        reading_of(detection(3, (100, 100, 140, 140), SAH), detection(4, (100, 150, 140, 190), SAH)),
        made_volume(),
        plain(0.5),
    )
    far = find(
        reading_of(detection(3, (100, 100, 140, 140), SAH), detection(4, (100, 190, 140, 230), SAH)),
        made_volume(),
        plain(0.5),
    )
    assert [len(finding.lesions) for finding in (near, far)] == [1, 2]


def test_lesions_are_numbered_by_falling_volume_and_the_map_holds_the_numbers() -> None:
    volume = made_volume()
    finding = find(stroke_reading(), volume, plain(0.3))
    assert [lesion.type for lesion in finding.lesions] == [IPH, EDH_SDH, SAH]
    assert [lesion.number for lesion in finding.lesions] == [1, 2, 3]
    volumes = [lesion.volume_ml for lesion in finding.lesions]
    assert volumes == sorted(volumes, reverse=True)
    voxel_ml = 2.4 * 2.4 * 5 / 1000
    for lesion in finding.lesions:
        mask = finding.lesion_map == lesion.number
        assert mask.sum() * voxel_ml == pytest.approx(lesion.volume_ml)
        assert tuple(np.flatnonzero(mask.any(axis=(1, 2)))) == lesion.slices


def test_a_lesions_confidence_is_the_highest_score_among_its_detections() -> None:
    finding = find(stroke_reading(), made_volume(), plain(0.3))
    assert [lesion.confidence for lesion in finding.lesions] == pytest.approx([0.9, 0.85, 0.62])


def test_only_parenchymal_hemorrhage_has_an_abc2_volume() -> None:
    finding = find(stroke_reading(), made_volume(), plain(0.3))
    assert [lesion.abc2_ml is not None for lesion in finding.lesions] == [True, False, False]


@pytest.mark.parametrize(
    ("volume_ml", "size_class"),
    [
        (0.0099, SizeClass.PUNCTATE),
        (0.01, SizeClass.SMALL),
        (4.999, SizeClass.SMALL),
        (5, SizeClass.MEDIUM),
        (24.99, SizeClass.MEDIUM),
        (25, SizeClass.LARGE),
    ],
)
def test_the_lower_edge_belongs_to_the_size_class(volume_ml: float, size_class: SizeClass) -> None:
    assert SizeClass.of(volume_ml) is size_class


def test_the_order_of_detections_does_not_matter() -> None:
    reading, volume = stroke_reading(), made_volume()
    there = find(reading, volume, plain(0.3))
    back = find(replace(reading, detections=reading.detections[::-1]), volume, plain(0.3))
    assert there.lesions == back.lesions
    np.testing.assert_array_equal(there.lesion_map, back.lesion_map)


@pytest.mark.parametrize("tilt", [0.0, 20.0])
def test_eight_orientations_of_one_scan_give_one_answer(tilt: float) -> None:
    answers = {
        find(
            stroke_reading(),
            made_volume(tilt_degrees=tilt, turn=Turn(transpose, flip_y, flip_x)),
            plain(0.3),
        ).lesions
        for transpose in (False, True)
        for flip_y in (False, True)
        for flip_x in (False, True)
    }
    assert len(answers) == 1


@pytest.mark.parametrize("turn", [Turn(), Turn(flip_y=True), Turn(transpose=True), Turn(True, True, True)])
def test_tilted_slices_are_joined_by_where_they_really_lie(turn: Turn) -> None:
    # At 30 degrees the same row of two slices 12 mm apart lies 6.9 mm apart in-plane; the other way it would fit.
    positions = np.arange(12) * 4.0
    boxes = [(2, (200, 250, 205, 255)), (4, (200, 250, 205, 255))]
    reading = reading_of(*(detection(z, box, SAH, mask=full()) for z, box in boxes))
    straight = find(reading, made_volume(positions_mm=positions, turn=turn), plain(0.5, 9))
    tilted = find(reading, made_volume(positions_mm=positions, tilt_degrees=30, turn=turn), plain(0.5, 9))
    assert [len(straight.lesions), len(tilted.lesions)] == [1, 2]


def test_more_than_255_lesions_keep_their_numbers() -> None:
    boxes = [(2 + 28 * (k // 18), 2 + 28 * (k % 18)) for k in range(300)]
    reading = reading_of(*(detection(1, (y, x, y + 4, x + 4), SAH, mask=full()) for y, x in boxes))
    finding = find(reading, made_volume(3, (128, 128), (1.8, 1.8)), plain(0.5, 2))
    assert len(finding.lesions) == 300
    assert set(np.unique(finding.lesion_map)) == set(range(301))
