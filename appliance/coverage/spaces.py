# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Spaces between slices: what slices thinner than their distance do not show.

Slices 5 mm thick at every 10 mm are either a scan that lost every other slice and was renumbered, so that nothing else
shows the loss, or a protocol that leaves out half of the head. Either way a bleed between them was not read, and the
answer says so. A reformat that keeps the thickness of its source looks the same, and no header says reliably whether it
averaged what lies between, so it counts too. A lone wide interval is a gap (`imaging.gaps`), and refused.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.header import integer, number
from appliance.imaging.stacks import Stack

_WIDE: Final = 1.5
"""An interval of so many thicknesses, or more, leaves a space; slices laid a little apart do not."""
_MUCH: Final = 0.1


def describe_spaces(stack: Stack) -> str:
    """Return what lies between the slices of a stack and was not scanned, a sentence; "" where next to nothing does.

    Slices that do not say how thick they are count as lying close, unless their Instance Numbers jump over others:
    where they jump by n, each is taken to stand for an nth of the interval.
    """
    geometry = stack.geometry
    if geometry is None or len(stack.instances) < 2:
        return ""
    said = [number(instance.header, "SliceThickness") for instance in stack.instances]
    thick_mm = np.array([mm if mm is not None and mm > 0 else np.inf for mm in said])
    intervals_mm = np.diff(geometry.positions_mm)
    shown_mm = (thick_mm[1:] + thick_mm[:-1]) / 2 if np.isfinite(thick_mm).any() else _counted_mm(stack, intervals_mm)
    wide = intervals_mm >= _WIDE * shown_mm
    if not wide.any():
        return ""
    space_mm = float((intervals_mm - shown_mm)[wide].sum())
    if space_mm < _MUCH * float(intervals_mm.sum()):
        return ""
    return (
        f"slices {np.median(shown_mm[wide]):.1f} mm thick lie {np.median(intervals_mm[wide]):.1f} mm apart: "
        f"{space_mm:.0f} mm between them were not read"
    )


def _counted_mm(stack: Stack, intervals_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what one slice stands for in each interval by the Instance Numbers, infinite where these do not count."""
    numbers = [integer(instance.header, "InstanceNumber") for instance in stack.instances]
    known = [number for number in numbers if number is not None]
    steps = np.abs(np.diff(known))
    if len(known) != len(numbers) or not steps.all() or len(set(np.sign(np.diff(known)).tolist())) > 1:
        return np.full(len(intervals_mm), np.inf)
    return np.asarray(np.where(steps > 1, intervals_mm / steps, np.inf))
