# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ways in which a head is scanned again for robustness: each changes one thing, the head and its blood stay.

What the simulator cannot vary is not here: another patient position or vendor changes headers alone, contrast agent is
not given on demand, and a bone kernel is no series that the service reads.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from simulator.fillings import Fillings
from simulator.geometry import ScanGeometry, Vector
from simulator.head import SimulatedHead
from simulator.scanner import Scanner
from simulator.teeth import BITE_Z, MOLARS

METAL_HU: Final = 8000.0
METAL_RADIUS_MM: Final = 4.0
METAL_MNI: Final = (-14.0, 4.0, 33.0)
"""MNI z, y, x of a coil: the division of the middle cerebral artery on the right."""
TEETH_MM: Final = BITE_Z - 14.0
"""A z coordinate, mm above the commissures, negative below: planes down to it show the crowns of both jaws; heads
differ by some mm."""
CROWN_RADIUS_MM: Final = 3.5
"""Of the metal in each tooth, as of a crown."""
AVERAGED_MM: Final = 5.0
"""Thin slices are averaged to about this thickness."""


def _same_planes(planes: ScanGeometry) -> ScanGeometry:
    return planes


def _same_scanner(scanner: Scanner) -> Scanner:
    return scanner


def _same_head(head: SimulatedHead) -> SimulatedHead:
    return head


@dataclass(frozen=True)
class Condition:
    """One way to scan a head.

    Attributes
    ----------
    name: in reports, records and on the command line.
    says: what it is, for the report.
    planes, scanner, head: what is changed of the study's own.
    averaged: whether the network reads the mean of neighbouring thin slices; lesions are on the thin ones all the same.
    """

    name: str
    says: str
    planes: Callable[[ScanGeometry], ScanGeometry] = _same_planes
    scanner: Callable[[Scanner], Scanner] = _same_scanner
    head: Callable[[SimulatedHead], SimulatedHead] = _same_head
    averaged: bool = False


def with_slices(thickness_mm: float) -> Callable[[ScanGeometry], ScanGeometry]:
    """Return what covers the same range in gapless slices of a thickness, mm."""

    def planes(drawn: ScanGeometry) -> ScanGeometry:
        spans = drawn.spans_mm
        low, high = drawn.positions_mm[0] - spans[0] / 2, drawn.positions_mm[-1] + spans[-1] / 2
        count = max(2, int((high - low) / thickness_mm))
        first = (low + high - (count - 1) * thickness_mm) / 2
        positions = tuple(float(first + i * thickness_mm) for i in range(count))
        return replace(drawn, positions_mm=positions, thickness_mm=(thickness_mm,) * count)

    return planes


def turn(degrees: float, *, about: str) -> Callable[[ScanGeometry], ScanGeometry]:
    """Return what turns the planes about the long axis of the body ("z") or from ear to shoulder ("y")."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def turn(vector: Vector) -> Vector:
        x, y, z = vector
        return (c * x - s * y, s * x + c * y, z) if about == "z" else (c * x + s * z, y, c * z - s * x)

    return lambda drawn: replace(drawn, row=turn(drawn.row), column=turn(drawn.column))


def with_tilt(degrees: float) -> Callable[[ScanGeometry], ScanGeometry]:
    """Return what tilts the gantry, degrees, while the head stays."""
    return lambda drawn: replace(drawn, tilt_deg=degrees)


def with_dose(share: float) -> Callable[[Scanner], Scanner]:
    """Return what scans with a share of the dose: noise and streaks of counting photons rise with its root."""
    rise = 1 / math.sqrt(share)
    return lambda drawn: replace(drawn, noise_hu=drawn.noise_hu * rise, streaks=drawn.streaks * rise)


def with_coil(head: SimulatedHead) -> SimulatedHead:
    """Return the head with a metal coil on its right middle cerebral artery; its blood and its labels stay."""
    z, y, x = (line - np.float32(place) for line, place in zip(head.anatomy.atlas.mni(), METAL_MNI, strict=True))
    away = np.sqrt(z**2 + y**2 + x**2)
    share = np.clip(METAL_RADIUS_MM + 0.5 - away, 0, 1).astype(np.float32)
    return replace(head, hu=head.hu + share * (np.float32(METAL_HU) - head.hu))


def down_to_teeth(drawn: ScanGeometry) -> ScanGeometry:
    """Return the planes with as many more below them, as far apart and as thick, as show the bite."""
    low, step = drawn.positions_mm[0], float(np.median(drawn.spans_mm))
    more = max(0, math.ceil((low - TEETH_MM) / step))
    below = tuple(low - step * i for i in range(more, 0, -1))
    return replace(
        drawn,
        positions_mm=below + drawn.positions_mm,
        thickness_mm=drawn.thickness_mm[:1] * more + drawn.thickness_mm,
    )


def with_crowns(head: SimulatedHead) -> SimulatedHead:
    """Return the head with a metal crown on every premolar and molar; where a tooth is lost it is an implant's."""
    teeth = head.anatomy.exterior.face.teeth
    crowns = [teeth.crown(jaw, side, tooth) for jaw in (0, 1) for side in (0, 1) for tooth in MOLARS]
    fillings = Fillings(tuple((place, CROWN_RADIUS_MM) for place in crowns))
    return replace(head, anatomy=replace(head.anatomy, fillings=fillings))


def without_fillings(head: SimulatedHead) -> SimulatedHead:
    """Return the head without metal in its teeth."""
    return replace(head, anatomy=replace(head.anatomy, fillings=Fillings(())))


AS_DRAWN: Final = Condition("as drawn", "the study's own planes and scanner")
ROBUSTNESS: Final = (
    Condition("noise 6 HU", "noise of 6 HU at 5 mm", scanner=lambda drawn: replace(drawn, noise_hu=6.0)),
    Condition("noise 9 HU", "noise of 9 HU at 5 mm", scanner=lambda drawn: replace(drawn, noise_hu=9.0)),
    Condition("dose 50 %", "half the dose", scanner=with_dose(0.5)),
    Condition("dose 25 %", "a quarter of the dose", scanner=with_dose(0.25)),
    Condition("thickness 0.6 mm", "gapless slices of 0.6 mm", planes=with_slices(0.6)),
    Condition("thickness 1.25 mm", "gapless slices of 1.25 mm", planes=with_slices(1.25)),
    Condition(
        "1.25 mm averaged",
        "the same slices, averaged to about 5 mm before they are read",
        planes=with_slices(1.25),
        averaged=True,
    ),
    Condition("thickness 2.5 mm", "gapless slices of 2.5 mm", planes=with_slices(2.5)),
    Condition("thickness 5 mm", "gapless slices of 5 mm", planes=with_slices(5.0)),
    Condition(
        "smooth kernel",
        "a point spread of 1.2 mm",
        scanner=lambda drawn: replace(drawn, psf_mm=1.2, overshoot=0.0, noise_peak_per_mm=0.2 / 1.2),
    ),
    Condition(
        "sharp kernel",
        "a point spread of 0.5 mm with edges that overshoot",
        scanner=lambda drawn: replace(drawn, psf_mm=0.5, overshoot=0.35, noise_peak_per_mm=0.2 / 0.5),
    ),
    Condition("tilt 0°", "no gantry tilt", planes=with_tilt(0.0)),
    Condition("tilt 15°", "a gantry tilt of 15 degrees", planes=with_tilt(15.0)),
    Condition("tilt 25°", "a gantry tilt of 25 degrees", planes=with_tilt(25.0)),
    Condition("turned +10°", "the head turned by 10 degrees in the plane", planes=turn(10.0, about="z")),
    Condition("turned -10°", "the head turned by 10 degrees the other way", planes=turn(-10.0, about="z")),
    Condition("bent 10°", "the head bent by 10 degrees towards a shoulder", planes=turn(10.0, about="y")),
    Condition(
        "motion 2 mm",
        "a head that moves by 2 mm during a third of its slices",
        scanner=lambda drawn: replace(drawn, motion_mm=2.0),
    ),
    Condition(
        "motion 5 mm",
        "a head that moves by 5 mm during a third of its slices",
        scanner=lambda drawn: replace(drawn, motion_mm=5.0),
    ),
    Condition(
        "metal",
        "a coil of platinum on the middle cerebral artery",
        scanner=lambda drawn: replace(drawn, metal_hu=100.0),
        head=with_coil,
    ),
    Condition(
        "down to the teeth",
        "the scan goes on down to the teeth, which hold no metal",
        planes=down_to_teeth,
        head=without_fillings,
    ),
    # Differs from "down to the teeth" in two things, as crowns do in life: the metal, and streaks of 150 HU in place of
    # the study's own. The control's teeth hold no metal: the strength changes nothing unless metal lies elsewhere.
    Condition(
        "dental metal",
        "the same longer scan, with a metal crown on every premolar and molar and strong streaks from them",
        planes=down_to_teeth,
        scanner=lambda drawn: replace(drawn, metal_hu=150.0),
        head=with_crowns,
    ),
)
"""Every condition of the robustness part, in the report's order."""
CONDITIONS: Final = {condition.name: condition for condition in (AS_DRAWN, *ROBUSTNESS)}
"""Every condition by name."""


def conditions_named(names: str) -> tuple[Condition, ...]:
    """Return the conditions of a comma-separated list; "all" is every one of `ROBUSTNESS`, "" none.

    Raises
    ------
    ValueError
        If one is unknown; the message names those there are.
    """
    asked = [name.strip() for name in names.split(",") if name.strip()]
    if asked == ["all"]:
        return ROBUSTNESS
    known = {condition.name: condition for condition in ROBUSTNESS}
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ValueError(f"there is no condition {', '.join(unknown)}; there are all, {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(asked))
