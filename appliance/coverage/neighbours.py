# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Slices of the study that continue where the stack that is read ends, and that could not be read with it.

They have another matrix, pixel spacing, tilt or kernel, or belong to another scan of the head (otherwise
`imaging.parts` would have joined them). Slices that begin about where the stack ends count in any case. A scan of the
same slices that also reaches beyond an end counts only if it shows a head there: scans of one head differ in range by a
few centimetres of air or neck, and a stack that shows both ends is whole, whatever is beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.coverage.ends import Ends, Plane, body_cm2, intracranial_cm2
from appliance.errors import RefusedError
from appliance.imaging.body_part import Region, region
from appliance.imaging.geometry import Geometry, plane
from appliance.imaging.header import text
from appliance.imaging.parts import LONGEST_HEAD_MM, REACH
from appliance.imaging.stacks import Stack

BEYOND_MM: Final = 10.0
"""Two slices of 5 mm; a smaller difference may be another placement of the same range."""

_TILTED_BY_DEG: Final = 40.0
_BESIDE_MM: Final = 80.0
_LEAST_REACH_MM: Final = 25.0
_MOSTLY: Final = 0.5
# What a slice that lies `BEYOND_MM` or more beyond an end shows where that end was none. A dome of 14 cm is 60 cm2 wide
# 12 mm below its top; the inside of the skull is 22 cm2 where whole scans begin, and 5 cm2 in one of twenty.
_DOME_CM2: Final = 60.0
_BASE_CM2: Final = 30.0
_LEAST_RING_CM2: Final = 5.0
# What goes on right below a base, in another field of view or tilt, is a neck where its nearest slices show a spinal
# canal at most; a foramen magnum is 10 cm2 wide.
_NEAR_MM: Final = 25.0
_NECK_CM2: Final = 15.0
_MOST_LOOKED_AT: Final = 6


@dataclass(frozen=True)
class Neighbour:
    """Slices that go on above or below a stack: how many lie beyond its end, from where to where, of which series."""

    slices: int
    above: bool
    series_uid: str
    range_mm: tuple[float, float]

    @property
    def sentence(self) -> str:
        """The sentence about it."""
        are = "1 slice" if self.slices == 1 else f"{self.slices} slices"
        where = "above" if self.above else "below"
        return f"{are} of series {self.series_uid} {where} the part that was read could not be read with it"


def neighbours(
    stack: Stack, others: Iterable[Stack], ends: Ends, plane_of: Callable[[Stack, int], Plane]
) -> tuple[Neighbour, ...]:
    """Return what goes on above and below a stack among the other stacks of its study.

    `ends` is what the stack's ends show, `plane_of` gives a slice [Y, X] of a stack in HU by its index and may raise
    `RefusedError`. A series that names another part of the body is left out unless it lies above a head, where no other
    part is, or goes on below it with brain on its slices; so is a neck below a base that was seen.
    """
    geometry = stack.geometry
    if geometry is None:
        return ()
    shown = _centres(stack)[ends.empty_below : len(stack.instances) - ends.empty_above]
    return tuple(
        found
        for other in others
        if other is not stack and other.geometry is not None
        for found in _beyond(stack, geometry, shown, ends, other, other.geometry)
        if _counts(found, stack, other, ends, plane_of, shown @ geometry.normal, _centres(other) @ geometry.normal)
    )


def count_slices(found: Iterable[Neighbour]) -> int:
    """Return how many slices neighbours have; each place counts once, for the series with the most slices there."""
    counted: list[Neighbour] = []
    for one in sorted(found, key=lambda one: (-one.slices, one.series_uid)):
        if not any(_share_range(one.range_mm, other.range_mm) for other in counted if other.above == one.above):
            counted.append(one)
    return sum(one.slices for one in counted)


def reaches_beyond(other: Stack, stack: Stack) -> bool:
    """Return whether another scan of the same slices reaches at least `BEYOND_MM` beyond an end of a stack."""
    geometry = stack.geometry
    if geometry is None or other.geometry is None:
        return False
    ours, theirs = (_centres(one) @ geometry.normal for one in (stack, other))
    if min(ours.max(), theirs.max()) - max(ours.min(), theirs.min()) <= 0:
        return False
    return bool(max(theirs.max() - ours.max(), ours.min() - theirs.min()) >= BEYOND_MM)


def _beyond(
    stack: Stack, geometry: Geometry, shown: NDArray[np.float64], ends: Ends, other: Stack, its: Geometry
) -> Iterator[Neighbour]:
    """Yield what another stack has beyond the ends of one whose slices that show something have these centres.

    It continues near an end; if an end is seen to be missing, it may lie anywhere within the length of a head.
    """
    if abs(float(geometry.normal @ its.normal)) < np.cos(np.radians(_TILTED_BY_DEG)):
        return
    if len(other.instances) == 1 and other.series_uid != stack.series_uid:
        return  # a bolus-timing image, a saved screen
    ours = shown @ geometry.normal
    centres = _centres(other)
    theirs = centres @ geometry.normal
    step = max(geometry.spacing_mm, its.spacing_mm)
    for above in (True, False):
        end = shown[-1 if above else 0]
        height = (theirs - ours.max()) if above else (ours.min() - theirs)
        beyond = height > 0.5 * step
        if not beyond.any():
            continue
        is_open = not (ends.shows_top if above else ends.shows_base)
        whole_mm = max(ours.max(), theirs.max()) - min(ours.min(), theirs.min())
        is_near = height[beyond].min() <= max(REACH * step, _LEAST_REACH_MM)
        if not is_near and not (is_open and whole_mm <= LONGEST_HEAD_MM):
            continue
        if beyond.mean() <= _MOSTLY and height.max() < BEYOND_MM:
            continue
        apart = centres[np.argmin(np.abs(height))] - end
        if np.linalg.norm(apart - (apart @ geometry.normal) * geometry.normal) <= _BESIDE_MM:
            reach = float(theirs[beyond].min()), float(theirs[beyond].max())
            yield Neighbour(int(beyond.sum()), above, other.series_uid, reach)


def _counts(
    found: Neighbour,
    stack: Stack,
    other: Stack,
    ends: Ends,
    plane_of: Callable[[Stack, int], Plane],
    ours: NDArray[np.float64],
    theirs: NDArray[np.float64],
) -> bool:
    """Return whether slices beyond an end show the head; `ours` and `theirs` are the slices' positions, mm."""
    names_another = _names_another_part(other)
    if names_another and found.above and not _share_frame(stack, other):
        return False
    height = (theirs - ours.max()) if found.above else (ours.min() - theirs)
    if found.slices > _MOSTLY * len(theirs):  # it goes on; else it is another scan of the same slices
        in_series = any(found.series_uid == instance.series_uid for instance in stack.instances)
        if found.above or (not names_another and (in_series or not ends.shows_base)):
            return True
        if _shows_brain(other, np.flatnonzero((height > 0) & (height <= _NEAR_MM)), plane_of):
            return True
    if names_another and not found.above:
        return False
    far = np.flatnonzero(height >= BEYOND_MM)
    if not len(far):
        return False
    at = int(far[np.argmin(height[far])])
    geometry = other.geometry
    assert geometry is not None
    try:
        image = plane_of(other, at)
    except RefusedError:
        return True
    if found.above:
        return body_cm2(image, geometry.contract_spacing_mm) > _DOME_CM2
    if ends.middle_is_ringed or ends.base_cm2 > _LEAST_RING_CM2:
        return intracranial_cm2(image, geometry.contract_spacing_mm) > _BASE_CM2
    # The skull is open: nothing tells a base from a neck but how long the whole is.
    return bool(max(ours.max(), theirs.max()) - min(ours.min(), theirs.min()) <= LONGEST_HEAD_MM)


def _shows_brain(stack: Stack, slices: NDArray[np.intp], plane_of: Callable[[Stack, int], Plane]) -> bool:
    """Return whether any of some slices shows more of the inside of a skull than a neck does, or cannot be read."""
    geometry = stack.geometry
    assert geometry is not None
    some = np.unique(slices[np.linspace(0, len(slices) - 1, _MOST_LOOKED_AT).astype(int)]) if len(slices) else slices
    try:
        return any(intracranial_cm2(plane_of(stack, int(at)), geometry.contract_spacing_mm) > _NECK_CM2 for at in some)
    except RefusedError:
        return True


def _centres(stack: Stack) -> NDArray[np.float64]:
    """Return the centre of each slice in patient coordinates, float64 [Z, 3], mm."""
    planes = [plane(instance.header) for instance in stack.instances]
    return np.array(
        [
            one.origin_mm
            + one.along_row * one.spacing_mm[1] * (one.columns - 1) / 2
            + one.along_column * one.spacing_mm[0] * (one.rows - 1) / 2
            for one in planes
        ]
    )


def _share_range(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return min(one[1], other[1]) - max(one[0], other[0]) >= 0.5 * min(one[1] - one[0], other[1] - other[0])


def _names_another_part(stack: Stack) -> bool:
    """Return whether a stack's words name another part of the body."""
    said = (region(text(stack.header, keyword)) for keyword in ("BodyPartExamined", "SeriesDescription"))
    return Region.OTHER in said


def _share_frame(one: Stack, other: Stack) -> bool:
    frames = [text(stack.header, "FrameOfReferenceUID") for stack in (one, other)]
    return frames[0] == frames[1] != ""
