# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The definition of a label, on cases made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.contract import BRIGHTEST_CLOT_HU, HemorrhageType
from simulator.labels import SeenBleed, label_voxels, shown_hu

MM = (1.0, 1.0)


def line(kind: HemorrhageType, fraction: list[float], rise: list[float], shown: list[float] | None = None) -> SeenBleed:
    return SeenBleed(kind, *(np.array([[part]], np.float32) for part in (fraction, rise, shown or [60.0] * len(rise))))


def labels_of(*bleeds: SeenBleed) -> list[int]:
    return label_voxels(bleeds, bleeds[0].fraction.shape, MM)[0, 0].tolist()


def test_a_label_needs_half_a_voxel_of_blood_or_half_the_peak_rise():
    bleed = line(HemorrhageType.IPH, [0.6, 0.4, 0.4, 0.2, 0.0], [30.0, 16.0, 14.0, 9.0, 0.0])

    assert labels_of(bleed) == [1, 1, 0, 0, 0]


def test_a_rise_below_8_hu_is_no_label_however_high_the_peak():
    assert labels_of(line(HemorrhageType.SAH, [0.3, 0.2], [7.9, 8.1])) == [0, 3]


def test_what_is_shown_brighter_than_a_clot_can_be_is_no_label_however_much_blood_there_is():
    bleed = line(HemorrhageType.SAH, [0.4, 0.4, 0.5, 0.9], [20.0] * 4, shown=[70.0, 400.0, 400.0, 110.0])

    assert labels_of(bleed) == [3, 0, 0, 0]


def test_a_rise_that_bone_hides_is_no_peak_for_its_neighbours():
    bleed = line(HemorrhageType.SAH, [0.4, 0.2], [40.0, 12.0], shown=[400.0, 50.0])

    assert labels_of(bleed) == [0, 3]


def test_a_bleed_is_hidden_by_what_another_of_its_type_says_is_shown():
    within = line(HemorrhageType.EDH_SDH, [0.5], [20.0], shown=[300.0])
    beside = line(HemorrhageType.EDH_SDH, [0.0], [0.0], shown=[0.0])

    assert labels_of(within, beside) == labels_of(beside, within) == [0]


def test_a_kernel_shows_bone_in_the_pixel_beside_it_and_not_five_further():
    plane = np.full((1, 12), 60, np.float32)
    plane[0, 6:] = 1000
    shown = shown_hu(np.repeat(plane, 8, 0), (0.5, 0.5))[4]

    assert shown[5] > BRIGHTEST_CLOT_HU
    assert shown[1] == pytest.approx(60, abs=0.5)


def test_half_a_voxel_of_blood_is_labelled_even_where_it_is_as_dark_as_brain():
    mixed = line(HemorrhageType.EDH_SDH, [1.0, 1.0, 0.5, 0.4], [35.0, 0.0, 0.0, 0.0])

    assert labels_of(mixed) == [2, 2, 2, 0]


def test_pieces_of_a_bleed_far_apart_have_peaks_of_their_own():
    rise = [40.0, 12.0, *[0.0] * 30, 12.0, 5.0]
    faint = line(HemorrhageType.SAH, [0.4, 0.2, *[0.0] * 30, 0.2, 0.1], rise)

    assert labels_of(faint) == [3, 0, *[0] * 30, 3, 0]


def test_pieces_of_a_bleed_within_a_centimetre_share_a_peak():
    rise = [40.0, *[0.0] * 5, 12.0, *[0.0] * 20]
    bleed = line(HemorrhageType.SAH, [0.4, *[0.0] * 5, 0.2, *[0.0] * 20], rise)

    assert labels_of(bleed) == [3, *[0] * 26]


def test_two_bleeds_of_a_type_side_by_side_have_peaks_of_their_own():
    large = line(HemorrhageType.IPH, [0.45, 0.0, 0.0], [40.0, 0.0, 0.0])
    small = line(HemorrhageType.IPH, [0.0, 0.0, 0.3], [0.0, 0.0, 10.0])

    assert labels_of(large, small) == [1, 0, 1]


def test_two_bleeds_of_a_type_fill_a_voxel_together():
    assert labels_of(*[line(HemorrhageType.IPH, [0.3], [1.0])] * 2) == [1]


def test_where_types_meet_the_higher_fraction_wins():
    parenchymal = line(HemorrhageType.IPH, [0.9, 0.5], [30.0, 30.0])
    subarachnoid = line(HemorrhageType.SAH, [0.6, 0.8], [30.0, 30.0])

    assert labels_of(parenchymal, subarachnoid) == [1, 3]
    assert labels_of(subarachnoid, parenchymal) == [1, 3]


def test_each_slice_has_its_own_peak():
    rise = np.array([[[40.0]], [[10.0]]], np.float32)
    bleed = SeenBleed(HemorrhageType.IPH, np.full((2, 1, 1), 0.3, np.float32), rise, 30 + rise)

    np.testing.assert_array_equal(label_voxels([bleed], (2, 1, 1), MM), np.ones((2, 1, 1)))
