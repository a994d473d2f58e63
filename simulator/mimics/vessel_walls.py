# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Calcium in the walls of the arteries at the base: carotid siphons, vertebral and basilar arteries.

Seen in the siphons of 82 % of people of 70 years (Bos et al., Stroke 2012) and in the vessels of 7 % of all adults
(Daghighi et al., Folia Morphol 2007); in a slice it is an arc or a dot of several hundred HU beside the sella.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.mimics.mimic import Box, Inside, Mimic, Point

Field = NDArray[np.float32]

# MNI z, y, |x| along the vessels.
_SIPHON: tuple[Point, ...] = ((-34.0, -8.0, 13.0), (-31.0, 0.0, 12.5), (-26.0, 6.0, 12.5), (-21.0, 4.0, 11.5))
_VERTEBRAL: tuple[Point, ...] = ((-66.0, -38.0, 12.0), (-58.0, -30.0, 8.0), (-50.0, -20.0, 2.5))
_BASILAR: tuple[Point, ...] = ((-46.0, -17.0, 0.0), (-34.0, -13.0, 0.0), (-22.0, -14.0, 0.0))


@dataclass(frozen=True)
class Plaque:
    """An arc in the wall of a tube: its centre (MNI z, y, x), the tube's radius in mm, turn and span in rad, and HU."""

    centre: Point
    radius_mm: float
    turn: float
    span: float
    hu: float

    def part(self, inside: Inside) -> tuple[Box, Field]:
        """Return a box and what it adds there, seen across the vessel."""
        points = []
        for angle in np.linspace(self.turn - self.span / 2, self.turn + self.span / 2, 5):
            z, y, x = self.centre
            across, along = self.radius_mm * float(np.sin(angle)), self.radius_mm * float(np.cos(angle))
            points.append(inside.locate((z, y + along, x + across)))
        box, distance = inside.along(tuple(points), 3)
        return box, np.asarray(np.clip(1.3 - distance, 0, 1) * np.float32(self.hu), np.float32)


@dataclass(frozen=True)
class CalcifiedArteries(Mimic):
    """Plaques in the walls."""

    plaques: tuple[Plaque, ...]

    @classmethod
    def of(cls, rng: np.random.Generator, courses: list[tuple[tuple[Point, ...], float, float]]) -> CalcifiedArteries:
        """Return two to seven plaques along each course, given with its side and its radius in mm."""
        hu = float(rng.uniform(120, 700))
        plaques = []
        for course, side, radius in courses:
            for _ in range(int(rng.integers(2, 8))):
                along = float(rng.uniform(0, len(course) - 1.001))
                k, part = int(along), along % 1
                z, y, x = (a + part * (b - a) for a, b in zip(course[k], course[k + 1], strict=True))
                span = float(rng.uniform(0.3, 3.0))
                turn = float(rng.uniform(-np.pi, np.pi))
                plaques.append(Plaque((z, y, side * x), radius, turn, span, hu * float(rng.uniform(0.4, 1))))
        return cls(tuple(plaques))

    def lay_over_dura(self, inside: Inside) -> None:
        """Add the calcium."""
        inside.add_most(plaque.part(inside) for plaque in self.plaques)


class CarotidSiphons(CalcifiedArteries):
    """Plaques in both carotid siphons, sometimes in one."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> CarotidSiphons:
        """Return one."""
        sides = ((-1.0,), (1.0,), (-1.0, 1.0))[int(rng.choice(3, p=[0.15, 0.15, 0.7]))]
        return cls(cls.of(rng, [(_SIPHON, side, 2.4) for side in sides]).plaques)


class VertebrobasilarArteries(CalcifiedArteries):
    """Plaques in the vertebral and basilar arteries."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> VertebrobasilarArteries:
        """Return one."""
        courses = [(_VERTEBRAL, -1.0, 1.7), (_VERTEBRAL, 1.0, 1.7), (_BASILAR, 1.0, 1.8)]
        return cls(cls.of(rng, [course for course in courses if rng.random() < 0.6] or courses[:1]).plaques)
