# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A missing slice is a gap; a change of spacing is not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.imaging.gaps import Gap, gaps

FINE, COARSE = 2.5, 5.0


def positions(intervals: list[float]) -> np.ndarray:
    return np.concatenate([[0.0], np.cumsum(intervals)])


def found(intervals: list[float], thicknesses: list[float] | None = None, numbers: list[int] | None = None) -> list:
    count = len(intervals) + 1
    return [gap.above for gap in gaps(positions(intervals), thicknesses or [None] * count, numbers or [None] * count)]


@pytest.mark.parametrize(
    "intervals",
    [
        [5.0] * 31,
        [0.625] * 40,
        [2.5] * 12 + [5.0] * 20,
        [5.0] * 20 + [2.5] * 12,
        [2.5] * 12 + [3.75] + [5.0] * 20,
        [3.0] * 10 + [8.0] * 12,
        [2.5] * 8 + [5.0] * 10 + [2.5] * 8,
        [2.5] * 10 + [5.0] * 2,
        [5.0, 5.1, 4.9, 5.0, 5.2, 4.8, 5.0],
        [4.5, 4.5, 4.5, 5.5, 4.5, 4.5, 4.5, 5.5],
        [5.0, 7.0, 5.0, 5.0],
        [5.0],
        [],
    ],
    ids=lambda intervals: " ".join(map(str, intervals[:3])) + f" ({len(intervals)})",
)
def test_no_gap_is_seen_in_whole_stacks(intervals: list[float]) -> None:
    assert found(intervals) == []


@given(slices=st.integers(6, 60), missing=st.data(), spacing=st.floats(0.5, 10))
def test_every_slice_that_is_missing_inside_an_even_stack_is_noticed(
    slices: int, missing: st.DataObject, spacing: float
) -> None:
    gone = missing.draw(st.integers(1, slices - 2))
    places = np.delete(np.arange(slices) * spacing, gone)
    (gap,) = gaps(places, [None] * len(places), [None] * len(places))
    assert gap.above == gone - 1
    assert gap.missing == 1
    assert gap.usual_mm == pytest.approx(spacing)


@given(fine=st.integers(4, 20), coarse=st.integers(4, 20), coarse_first=st.booleans(), missing=st.data())
def test_every_slice_that_is_missing_from_a_mixed_stack_is_noticed_when_the_thickness_is_said(
    fine: int, coarse: int, coarse_first: bool, missing: st.DataObject
) -> None:
    # Slices that abut: the distance of two is the mean of their thicknesses.
    thicknesses = [FINE] * fine + [COARSE] * coarse
    if coarse_first:
        thicknesses.reverse()
    places = positions([(a + b) / 2 for a, b in pairwise(thicknesses)])
    assert gaps(places, thicknesses, [None] * len(places)) == ()
    gone = missing.draw(st.integers(1, len(places) - 2))
    left = [thickness for index, thickness in enumerate(thicknesses) if index != gone]
    assert [gap.above for gap in gaps(np.delete(places, gone), left, [None] * len(left))] == [gone - 1]


@given(fine=st.integers(4, 20), coarse=st.integers(4, 20), coarse_first=st.booleans(), missing=st.data())
def test_every_slice_that_is_missing_from_a_mixed_stack_is_noticed_when_the_numbers_count(
    fine: int, coarse: int, coarse_first: bool, missing: st.DataObject
) -> None:
    intervals = [FINE] * fine + [COARSE] * coarse
    if coarse_first:
        intervals.reverse()
    places, numbers = positions(intervals), list(range(len(intervals) + 1, 0, -1))
    assert gaps(places, [None] * len(places), numbers) == ()
    gone = missing.draw(st.integers(1, len(places) - 2))
    del numbers[gone]
    assert gone - 1 in [gap.above for gap in gaps(np.delete(places, gone), [None] * len(numbers), numbers)]


def test_several_missing_slices_side_by_side_are_counted() -> None:
    (gap,) = gaps(positions([5.0] * 5 + [20.0] + [5.0] * 5), [None] * 12, [None] * 12)
    assert gap == Gap(above=5, width_mm=20, usual_mm=5)
    assert gap.missing == 3


def test_missing_slices_near_each_other_are_all_noticed() -> None:
    assert found([5, 5, 10, 10, 5, 5]) == [2, 3]
    assert found([5, 5, 15, 20, 5, 5]) == [2, 3]
    assert found([10, 5, 5, 5, 10]) == [0, 4]


def test_a_slice_missing_from_an_overlapping_stack_is_noticed_though_no_tissue_is() -> None:
    assert found([2.5, 2.5, 5.0, 2.5, 2.5], [5.0] * 6) == [2]


def test_a_wide_step_where_the_thickness_changes_with_it_is_no_gap() -> None:
    assert found([2.5, 2.5, 2.5, 5.0, 5.0], [2.5, 2.5, 2.5, 2.5, 5.0, 5.0]) == []


def test_numbers_that_do_not_count_say_nothing() -> None:
    assert found([2.5] * 4 + [5.0] * 4, numbers=[1, 2, 3, 4, 101, 102, 103, 104, 105]) == []
    assert found([2.5] * 4 + [5.0] * 4, numbers=[9, 1, 8, 2, 7, 3, 6, 4, 5]) == []


def test_every_second_slice_missing_throughout_is_noticed_where_numbers_and_thickness_say_so() -> None:
    positions = np.arange(16) * 10.0
    found = gaps(positions, [5.0] * 16, list(range(1, 33, 2)))
    assert [gap.missing for gap in found] == [1] * 15
    assert gaps(positions, [5.0] * 16, list(range(33, 1, -2))) == found
    assert gaps(positions, [5.0] * 16, list(range(16))) == ()
    assert gaps(positions, [10.0] * 16, list(range(1, 33, 2))) == ()
    assert gaps(positions, [None] * 16, list(range(1, 33, 2))) == ()
