# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Slices of the study that go on where the stack that is read ends, and that could not be read with it.

They have another matrix, pixel spacing, tilt or kernel (else `imaging.parts` would have joined them). A scan of the
same slices is none, however far it reaches: it lies beside the stack and not beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.geometry import Geometry, plane
from appliance.imaging.header import text
from appliance.imaging.parts import LONGEST_HEAD_MM, REACH
from appliance.imaging.stacks import Stack
from appliance.selection.words import Region, region

BEYOND_MM: Final = 10.0
"""Two slices of 5 mm; less may be another way to lay the same range."""

_TILTED_BY_DEG: Final = 40.0
_BESIDE_MM: Final = 80.0
_LEAST_REACH_MM: Final = 25.0


@dataclass(frozen=True)
class Neighbour:
    """Slices that go on above or below a stack: how many lie beyond its end, and of which series."""

    slices: int
    above: bool
    series_uid: str

    @property
    def sentence(self) -> str:
        """What there is to say of it."""
        are = "1 slice" if self.slices == 1 else f"{self.slices} slices"
        where = "above" if self.above else "below"
        return f"{are} of series {self.series_uid} {where} the part that was read could not be read with it"


def neighbours(stack: Stack, others: Iterable[Stack], *, base_seen: bool) -> tuple[Neighbour, ...]:
    """Return what goes on above and below a stack among the other stacks of its study.

    A series that names another part of the body is left out, and so is what goes on below a base that was seen
    (`base_seen`) until both are longer than a head: that is a neck.
    """
    geometry = stack.geometry
    if geometry is None:
        return ()
    ours = _centres(stack) @ geometry.normal
    found = []
    for other in others:
        if other is stack or other.geometry is None or _is_elsewhere(other):
            continue
        beyond = _beyond(stack, geometry, ours, other, other.geometry)
        if beyond is None:
            continue
        if beyond.above or not base_seen or _together_mm(ours, _centres(other) @ geometry.normal) <= LONGEST_HEAD_MM:
            found.append(beyond)
    return tuple(found)


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
    stack: Stack, geometry: Geometry, ours: NDArray[np.float64], other: Stack, its: Geometry
) -> Neighbour | None:
    if abs(float(geometry.normal @ its.normal)) < np.cos(np.radians(_TILTED_BY_DEG)):
        return None
    centres = _centres(other)
    theirs = np.sort(centres @ geometry.normal)
    step = max(geometry.spacing_mm, its.spacing_mm)
    reach = max(REACH * step, _LEAST_REACH_MM)
    above, below = theirs > ours.max() + 0.5 * step, theirs < ours.min() - 0.5 * step
    goes_on_above = above.sum() > 0.5 * len(theirs) and theirs[above].min() - ours.max() <= reach
    goes_on_below = below.sum() > 0.5 * len(theirs) and ours.min() - theirs[below].max() <= reach
    if goes_on_above == goes_on_below:
        return None
    if len(theirs) == 1 and other.series_uid != stack.series_uid:
        return None  # an image that a bolus is waited for in, a screen that was saved
    end = _centres(stack)[-1 if goes_on_above else 0]
    nearest = centres[np.argmin(np.abs(centres @ geometry.normal - end @ geometry.normal))]
    apart = nearest - end
    if np.linalg.norm(apart - (apart @ geometry.normal) * geometry.normal) > _BESIDE_MM:
        return None
    return Neighbour(int((above if goes_on_above else below).sum()), bool(goes_on_above), other.series_uid)


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


def _together_mm(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(max(one.max(), other.max()) - min(one.min(), other.min()))


def _is_elsewhere(stack: Stack) -> bool:
    """Return whether a stack's words name another part of the body."""
    said = (region(text(stack.header, keyword)) for keyword in ("BodyPartExamined", "SeriesDescription"))
    return Region.OTHER in said
