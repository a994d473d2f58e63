# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Joins the parts of one head: base and vertex as two acquisitions or two series, a scan that was broken off and
resumed, slices that were scanned again.

The rules, for positions along the common normal:

1. Parts that touch, or overlap by less than half of the shorter one, are one scan, whatever their identity attributes
   say (series, acquisition, time, frame of reference, kernel's spelling, ...). They touch at a distance of at most
   `REACH` slice spacings, so that a slice missing between two parts counts as a gap in one head. A sharp kernel never
   joins a soft one, nor a series with contrast agent one without.
2. Parts that overlap by more are one scan if they were made in the same way and the overlap is less than two thirds of
   the longer one: some slices were scanned again, or the scan was restarted. A larger overlap is a second scan of the
   head, and so is a part made in another way (another kernel, thickness, phase, voltage). A repeat in a separate series
   stays separate: the fuller series is read.
3. Of two slices at one position the one of the part acquired later is taken, because it was scanned again for a reason.
   If times and acquisition numbers do not say which part that is, the slice of the fuller part is taken. The other one
   is kept as a repeat (`Stack.repeats`) and not read.
4. A part that could join several joins the one whose headers agree with it best, and then the nearest in time.

Across frames of reference: DICOM PS3.3 C.7.4.1 relates positions to each other only within one Frame of Reference UID.
Parts with different ones are joined only by rule 1, where they touch or share a slice, and only if matrix, pixel
spacing, directions and the line of the slices' origins continue and the whole is no longer than a head. More slices in
one place may be different slices: a vertex whose positions begin at 0 again lies within the base. Two scans with
unrelated coordinates would have to agree in all of this by chance, and one would have to begin where the other ends. A
wrong join moves no slice: each is read as it is, and only its two neighbours in the network's view could belong to
another head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.body_part import Region, region
from appliance.imaging.overlaps import lie_among
from appliance.imaging.slices import Slice

REACH: Final = 4.0
"""Parts whose nearest slices are at most this many slice spacings apart touch: up to three slices are missing."""

LONGEST_HEAD_MM: Final = 260.0
"""The longest that parts of several series or frames of reference may be together: a head with the upper neck."""

SHIFT_MM: Final = 5.0
"""The farthest that a slice of a stack may lie beside a straight line (a tilted stack is a sheared one)."""

_ELSEWHERE_MM: Final = 100.0
_PARTLY: Final = 0.5
_AGAIN: Final = 2 / 3
_ROOM: Final = 1.5
_NO_STEP_MM: Final = 5.0
_LEAST_STEP_MM: Final = 0.1
_CUTS: Final[tuple[tuple[Callable[[Slice], object], float, float], ...]] = (
    (lambda one: one.frame, LONGEST_HEAD_MM, REACH),
    (lambda one: one.acquisition, math.inf, math.inf),
)


@dataclass(frozen=True, eq=False)
class Part:
    """Slices of one scan by rising position, one at each position; `repeats` gave way to others."""

    slices: tuple[Slice, ...]
    repeats: tuple[Slice, ...] = ()

    @classmethod
    def of(cls, slices: list[Slice]) -> Part:
        """Return the part that consists of `slices`."""
        return cls(tuple(sorted(slices, key=lambda one: (one.position_mm, one.instance.uid, one.instance.ref))))

    @cached_property
    def positions_mm(self) -> NDArray[np.float64]:
        """Positions, float64 [Z], rising."""
        return np.array([one.position_mm for one in self.slices])

    @cached_property
    def low(self) -> float:
        """The lowest position, mm."""
        return self.slices[0].position_mm

    @cached_property
    def high(self) -> float:
        """The highest position, mm."""
        return self.slices[-1].position_mm

    @cached_property
    def step_mm(self) -> float:
        """The usual distance of slices, mm; for a single slice its thickness."""
        intervals = np.diff(self.positions_mm)
        intervals = intervals[intervals > _LEAST_STEP_MM]
        return float(np.median(intervals)) if len(intervals) else self.slices[0].thickness_mm or _NO_STEP_MM

    @cached_property
    def series(self) -> frozenset[str]:
        """The series that its slices come from."""
        return frozenset(one.series_uid for one in self.slices)

    @cached_property
    def frames(self) -> frozenset[str]:
        """The frames of reference that its slices name."""
        return frozenset(one.frame for one in self.slices if one.frame)

    @cached_property
    def making(self) -> tuple[frozenset[object], ...]:
        """The values of the attributes that change an image: kernel, thickness, contrast, phase, kind, voltage."""
        return (
            frozenset(one.kernel for one in self.slices if one.kernel),
            frozenset(one.thickness_mm for one in self.slices if one.thickness_mm),
            frozenset(one.contrast for one in self.slices),
            frozenset(one.phase for one in self.slices if one.phase is not None),
            frozenset(one.image_type[:3] for one in self.slices if one.image_type),
            frozenset(one.voltage_kv for one in self.slices if one.voltage_kv),
        )

    @cached_property
    def sharp(self) -> frozenset[bool]:
        """Whether its kernels are sharp, as far as their names say."""
        return frozenset(one.sharp for one in self.slices if one.sharp is not None)

    @cached_property
    def body_parts(self) -> frozenset[str]:
        """The body parts that its headers name."""
        return frozenset(one.body_part for one in self.slices if one.body_part)

    @cached_property
    def began(self) -> float | None:
        """When its first slice was acquired, None when not said."""
        return min((one.acquired_at for one in self.slices if one.acquired_at is not None), default=None)

    @cached_property
    def acquisition(self) -> int:
        """Its lowest Acquisition Number, -1 when there is none."""
        return min((one.acquisition for one in self.slices if one.acquisition is not None), default=-1)

    def covers(self, other: Part) -> NDArray[np.bool_]:
        """Return which slices of `other` lie where this part has slices, bool [slices of other].

        That is within half a slice of one of its slices, or between two neighbours.
        """
        ours, theirs = self.positions_mm, other.positions_mm
        after = np.searchsorted(ours, theirs)
        below = np.where(after > 0, ours[np.maximum(after - 1, 0)], -np.inf)
        above = np.where(after < len(ours), ours[np.minimum(after, len(ours) - 1)], np.inf)
        nearest = np.minimum(theirs - below, above - theirs)
        # A few slices scanned again here and there are not a scan with a wide spacing: the denser part's spacing
        # counts.
        step = min(self.step_mm, other.step_mm)
        thickness = self.slices[0].thickness_mm or step
        return np.asarray((nearest <= 0.49 * min(step, thickness)) | (above - below <= 1.5 * max(step, thickness)))

    def usual_step_mm(self, other: Part) -> float:
        """Return the distance of its slices, mm, as far as the other part's distance or their thickness confirms it."""
        return min(self.step_mm, max(other.step_mm, self.slices[0].thickness_mm or 0.0))


def as_parts(scan: list[Slice]) -> list[Part]:
    """Return the initial part, or parts, of the slices of one series, none of which overlap.

    They are one part, unless they cannot be one head and the headers say where to cut: two frames of reference whose
    slices are far apart, not in line, or together longer than a head; or two acquisitions that are not in line or in
    different regions of the body.
    """
    for key, longest_mm, widest in _CUTS:
        by_value: dict[object, list[Slice]] = {}
        for one in scan:
            by_value.setdefault(key(one), []).append(one)
        groups = list(by_value.values())
        if len(groups) == 1 or not all(is_straight(group) for group in groups) or not _lie_above_each_other(groups):
            continue
        whole = Part.of(scan)
        widest_mm = min(widest * whole.step_mm, _ELSEWHERE_MM)
        far = bool((np.diff(whole.positions_mm) > widest_mm).any())
        if far or not is_straight(scan) or whole.high - whole.low > longest_mm:
            return [part for group in groups for part in as_parts(group)]
    return [Part.of(scan)]


def _lie_above_each_other(groups: list[list[Slice]]) -> bool:
    """Return whether each group of slices ends before another begins, so that a cut separates them cleanly."""
    ranges = sorted((min(one.position_mm for one in group), max(one.position_mm for one in group)) for group in groups)
    return all(below[1] < above[0] for below, above in pairwise(ranges))


def join(parts: list[Part]) -> list[Part]:
    """Return the parts of one geometry, joined as far as the rules allow, the most alike headers first."""
    alive: dict[int, Part] = dict(enumerate(parts))
    pairs = [
        (*_difference(one, other), a, b)
        for a, one in alive.items()
        for b, other in alive.items()
        if a < b and _belong_together(one, other)
    ]
    heapify(pairs)
    following = len(parts)
    while pairs:
        *_, a, b = heappop(pairs)
        if a not in alive or b not in alive:
            continue
        joined = _join_two(alive.pop(a), alive.pop(b))
        for c, other in alive.items():
            if _belong_together(other, joined):
                heappush(pairs, (*_difference(other, joined), c, following))
        alive[following] = joined
        following += 1
    return list(alive.values())


def _difference(one: Part, other: Part) -> tuple[int, float, int, float]:
    """Return by how much the headers of two parts differ, and how far apart they are in time and space."""
    compared = (
        *zip(one.making, other.making, strict=True),
        (one.series, other.series),
        (one.frames, other.frames),
        (one.body_parts, other.body_parts),
    )
    differing = sum(1 for here, there in compared if here and there and not here & there)
    apart_s = 0.0 if one.began is None or other.began is None else abs(one.began - other.began)
    return differing, apart_s, abs(one.acquisition - other.acquisition), abs(one.low - other.low)


def _belong_together(one: Part, other: Part) -> bool:
    """Return whether two parts are parts of one scan (rules 1 and 2)."""
    if len(one.sharp | other.sharp) > 1 or _cover_one_range(one, other):
        return False
    between = max(one.low, other.low) - min(one.high, other.high)
    if between > REACH * max(one.usual_step_mm(other), other.usual_step_mm(one)):
        return False
    one_scan = one.series == other.series and _agree([(one.frames, other.frames)])
    if not one_scan and not _may_be_one_head(one, other):
        return False
    if between > 0:
        together = True
    else:
        shown, covered = one.covers(other), other.covers(one)
        most, least = max(shown.mean(), covered.mean()), min(shown.mean(), covered.mean())
        beside = (one.low < other.low and one.high < other.high) or (other.low < one.low and other.high < one.high)
        a_slice_at_most = shown.sum() <= 1 and covered.sum() <= 1
        in_one_frame = _agree([(one.frames, other.frames)])
        if beside and (a_slice_at_most or (most <= _PARTLY and in_one_frame)):
            together = shown.sum() + covered.sum() <= 2 or _one_phase(one, other)
        elif most == 0 or (_leave_holes(one, other) and not _overlap(one, other)):
            together = not lie_among(list(one.slices), list(other.slices)) and _are_alike(one, other)
        else:
            together = least < _AGAIN and _are_alike(one, other) and (beside or one.series == other.series)
    return together and is_straight([*one.slices, *other.slices])


def _cover_one_range(one: Part, other: Part) -> bool:
    """Return whether two parts are plainly two scans of one range; a shortcut, because a perfusion has hundreds."""
    near = 0.4 * min(one.step_mm, other.step_mm)
    return (
        len(one.slices) == len(other.slices) > 1
        and abs(one.low - other.low) < near
        and abs(one.high - other.high) < near
    )


def _may_be_one_head(one: Part, other: Part) -> bool:
    """Return whether parts of two series or frames of reference may be one head."""
    if max(one.high, other.high) - min(one.low, other.low) > LONGEST_HEAD_MM:
        return False
    if one.series != other.series:
        if _is_neck_of(one, other) or _is_neck_of(other, one) or not _one_contrast(one, other):
            return False
        # A single image in a separate series may be anything, such as a bolus-timing image.
        if min(len(one.slices), len(other.slices)) == 1:
            return _are_alike(one, other)
    return True


def _is_neck_of(one: Part, other: Part) -> bool:
    """Return whether a part names another part of the body than the head that it lies below.

    What lies above a head in its frame of reference is head, whatever its label.
    """
    if {region(name) for name in one.body_parts} != {Region.OTHER}:
        return False
    if Region.HEAD not in {region(name) for name in other.body_parts}:
        return False
    is_above = one.low > other.low and one.high > other.high
    return not (is_above and one.frames and one.frames == other.frames)


def _one_contrast(one: Part, other: Part) -> bool:
    """Return whether both have slices that were made alike, with contrast agent or without."""
    return bool(one.making[2] & other.making[2])


def _one_phase(one: Part, other: Part) -> bool:
    """Return whether nothing says that one was scanned with contrast agent or in another phase."""
    return all(
        not here or not there or bool(here & there)
        for here, there in zip(one.making[2:4], other.making[2:4], strict=True)
    )


def _are_alike(one: Part, other: Part) -> bool:
    """Return whether nothing says that two parts were made in different ways or in different frames of reference."""
    return _agree((*zip(one.making, other.making, strict=True), (one.frames, other.frames)))


def _agree(said: Iterable[tuple[frozenset[object], frozenset[object]]]) -> bool:
    """Return whether no pair of values contradicts each other; a missing value contradicts nothing."""
    return all(not here or not there or bool(here & there) for here, there in said)


def _join_two(one: Part, other: Part) -> Part:
    """Return two parts as one: all slices of the winner, and the slices of the other that the winner does not show."""
    winner, loser = (one, other) if _wins(one, other) else (other, one)
    given_up = winner.covers(loser)
    if not _overlap(winner, loser):
        given_up[:] = False
    kept = [slice_ for slice_, gone in zip(loser.slices, given_up, strict=True) if not gone]
    repeats = [slice_ for slice_, gone in zip(loser.slices, given_up, strict=True) if gone]
    made = Part.of([*winner.slices, *kept])
    return Part(made.slices, (*one.repeats, *other.repeats, *repeats))


def _overlap(one: Part, other: Part) -> bool:
    """Return whether slices of the two share places; slices that fill each other's holes do not."""
    half = 0.49 * min(one.step_mm, other.step_mm, *(p.slices[0].thickness_mm or p.step_mm for p in (one, other)))
    nearest = np.abs(one.positions_mm[:, None] - other.positions_mm[None]).min()
    return bool(nearest <= half)


def _leave_holes(one: Part, other: Part) -> bool:
    """Return whether both have room between their slices for others as thick."""
    thickest = max(part.slices[0].thickness_mm or math.inf for part in (one, other))
    return min(one.step_mm, other.step_mm) >= _ROOM * thickest


def _wins(one: Part, other: Part) -> bool:
    """Return which of two parts wins a position (rule 3): the later, else the fuller, else the higher UID."""
    if one.began is not None and other.began is not None and one.began != other.began:
        return one.began > other.began
    if one.acquisition != other.acquisition:
        return one.acquisition > other.acquisition
    return (len(one.slices), one.slices[0].instance.uid) > (len(other.slices), other.slices[0].instance.uid)


def is_straight(slices: list[Slice]) -> bool:
    """Return whether the origins of slices lie on one line."""
    return bool(offsets_mm(slices).max() <= SHIFT_MM)


def offsets_mm(slices: list[Slice]) -> NDArray[np.float64]:
    """Return how far each slice lies beside the straight line through the others' origins, float64 [Z], mm."""
    if len(slices) < 3:
        return np.zeros(len(slices))
    plane = slices[0].plane
    origins = np.stack([one.plane.origin_mm for one in slices])
    sideways = origins @ np.stack([plane.along_row, plane.along_column], axis=1)
    line = np.stack([[one.position_mm for one in slices], np.ones(len(slices))], axis=1)
    fitted, *_ = np.linalg.lstsq(line, sideways)
    return np.asarray(np.abs(sideways - line @ fitted).max(axis=1))
