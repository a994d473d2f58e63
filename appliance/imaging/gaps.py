# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Distinguishes a missing slice from a change of spacing, by the positions of a stack's slices.

Scans of the head change their spacing on purpose (2.5 mm through the base, 5 mm above), overlap on purpose, and lose
slices by accident. These rules find the accidents:

1. Intervals are compared only among slices of one Slice Thickness, because a protocol that changes the spacing also
   changes the thickness. Where the thickness changes, the one interval across is compared with both sides.
2. A wide interval (at least `WIDE` times what it is compared with) is a gap when it is alone: it has narrower intervals
   on both sides, and at most `TOGETHER` wide ones are side by side. A longer run is a protocol.
3. At an end of the run of slices there is only one side to compare with: one wide interval is a gap, two or more are
   a protocol (a protocol does not spend a single interval on a spacing).
4. If the Instance Numbers count the slices one by one, an interval that is n times as wide as a neighbour and over
   which the numbers jump by n is a gap, whatever its neighbours on the other side. This finds a slice that is missing
   just where the spacing changes. Numbers only add gaps; they never order slices and never excuse a gap.
5. If the Instance Numbers jump by n throughout and the slices lie n thicknesses apart, every interval is a gap: the
   other slices are still to come, or lost.

This cannot find slices missing at either end (`coverage.ends` finds them in the pixels), nor every second slice missing
throughout when the header gives no thickness or numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

WIDE = 1.5
TOGETHER = 3
# Across a change of thickness, half a slice of each side is usual, and one whole slice of the thicker occurs; a missing
# slice, even of the thinner side, makes more.
_WIDE_ACROSS = 1.2
_THROUGHOUT_WITHIN = 0.05


@dataclass(frozen=True)
class Gap:
    """An interval that slices are missing from.

    `above` is the index of the slice below the gap, `width_mm` the interval, `usual_mm` what is usual there.
    """

    above: int
    width_mm: float
    usual_mm: float

    @property
    def missing(self) -> int:
        """About how many slices are missing."""
        return max(1, round(self.width_mm / self.usual_mm) - 1)


def gaps(
    positions_mm: NDArray[np.float64],
    thicknesses_mm: Sequence[float | None],
    instance_numbers: Sequence[int | None],
) -> tuple[Gap, ...]:
    """Return the gaps of a stack.

    `positions_mm` [Z] is strictly rising; thickness and Instance Number of each slice are None where not said.
    """
    intervals = np.diff(positions_mm)
    if len(intervals) < 2:
        return ()
    found: dict[int, float] = {}
    segments = _segments(thicknesses_mm)
    for segment in segments:
        found.update(_find_lone(intervals, segment))
    found.update(_find_across(intervals, segments))
    for index, usual in _number_jumps(intervals, instance_numbers).items():
        found.setdefault(index, usual)
    for index, usual in _find_throughout(intervals, thicknesses_mm, instance_numbers).items():
        found.setdefault(index, usual)
    return tuple(Gap(index, float(intervals[index]), usual) for index, usual in sorted(found.items()))


def _segments(thicknesses_mm: Sequence[float | None]) -> list[range]:
    """Return the runs of intervals whose slices, both ends included, have one thickness; none may be empty."""
    segments: list[range] = []
    start = 0
    for index in range(1, len(thicknesses_mm) + 1):
        if index == len(thicknesses_mm) or not _agree(thicknesses_mm[index - 1], thicknesses_mm[index]):
            if index - 1 > start:
                segments.append(range(start, index - 1))
            start = index
    return segments


def _agree(one: float | None, other: float | None) -> bool:
    """Return whether two thicknesses do not differ, as far as they are stated."""
    return one is None or other is None or abs(one - other) <= 0.1 * max(abs(one), abs(other))


def _find_lone(intervals: NDArray[np.float64], segment: range) -> dict[int, float]:
    """Return the lone wide intervals inside a segment (rules 2 and 3) with what is usual beside them."""
    found = {}
    for index in segment:
        below = next((i for i in range(index - 1, segment.start - 1, -1) if _wide(intervals, index, i)), None)
        above = next((i for i in range(index + 1, segment.stop) if _wide(intervals, index, i)), None)
        if below is not None and above is not None:
            if above - below - 1 <= TOGETHER:
                found[index] = float(max(intervals[below], intervals[above]))
        elif below is not None and segment.stop - below - 1 == 1:
            found[index] = float(intervals[below])
        elif above is not None and above - segment.start == 1:
            found[index] = float(intervals[above])
    return found


def _wide(intervals: NDArray[np.float64], index: int, other: int) -> bool:
    return bool(intervals[index] >= WIDE * intervals[other])


def _find_across(intervals: NDArray[np.float64], segments: list[range]) -> dict[int, float]:
    """Return the intervals across a change of thickness (rule 1) that are wider than either side explains."""
    found = {}
    for lower, upper in pairwise(segments):
        if upper.start - lower.stop != 1:
            continue  # single slices of a third thickness in between leave nothing to compare with
        usual = float(max(np.median(intervals[lower]), np.median(intervals[upper])))
        if intervals[lower.stop] >= _WIDE_ACROSS * usual:
            found[lower.stop] = usual
    return found


def _number_jumps(intervals: NDArray[np.float64], instance_numbers: Sequence[int | None]) -> dict[int, float]:
    """Return the intervals over which the Instance Numbers jump just as the width does (rule 4)."""
    known = [number for number in instance_numbers if number is not None]
    if len(known) != len(instance_numbers):
        return {}
    steps = np.diff(known)
    if np.median(steps) < 0:
        steps = -steps
    counted = np.flatnonzero(steps == 1)
    if len(counted) < 0.75 * len(steps):
        return {}
    found = {}
    for index in np.flatnonzero(steps > 1):
        beside = [*counted[counted < index][-1:], *counted[counted > index][:1]]
        usual = float(min(intervals[beside]))
        times = intervals[index] / usual
        if times >= WIDE and round(times) == steps[index]:
            found[int(index)] = usual
    return found


def _find_throughout(
    intervals: NDArray[np.float64], thicknesses_mm: Sequence[float | None], instance_numbers: Sequence[int | None]
) -> dict[int, float]:
    """Return every interval where slices are missing throughout (rule 5), none otherwise."""
    numbers = [number for number in instance_numbers if number is not None]
    thicknesses = [mm for mm in thicknesses_mm if mm]
    if len(numbers) != len(instance_numbers) or len(thicknesses) != len(thicknesses_mm):
        return {}
    steps, thickness = np.abs(np.diff(numbers)), float(np.median(thicknesses))
    step = int(steps[0])
    if step < 2 or not np.all(steps == step):
        return {}
    if not np.allclose(intervals, step * thickness, rtol=_THROUGHOUT_WITHIN):
        return {}
    return dict.fromkeys(range(len(intervals)), thickness)
