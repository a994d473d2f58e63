# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Metal on aneurysms: clips and coils. Their object is above 3000 HU; what streaks they throw is the scanner's.

Aneurysms lie at the anterior communicating artery (about a third), the internal carotid with the posterior
communicating one (a third), the middle cerebral (a fifth) and the basilar tip (Keedy, McGill J Med 2006). Platinum and
titanium exceed the scale of 12 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Inside, Mimic, Point

_SITES: tuple[tuple[Point, float], ...] = (
    ((-13.0, 12.0, 1.0), 0.35),
    ((-18.0, 2.0, 14.0), 0.3),
    ((-14.0, 4.0, 33.0), 0.25),
    ((-15.0, -15.0, 1.0), 0.1),
)


def _site(rng: np.random.Generator) -> Point:
    """Return an MNI point (z, y, x) of an aneurysm."""
    z, y, x = _SITES[int(rng.choice(len(_SITES), p=[p for _, p in _SITES]))][0]
    return z, y, float(rng.choice([-1, 1])) * x


@dataclass(frozen=True)
class AneurysmClip(Mimic):
    """A rod of some millimetres from one MNI point (z, y, x) to another."""

    start: Point
    end: Point
    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> AneurysmClip:
        """Return one."""
        start = _site(rng)
        way = rng.standard_normal(3)
        z, y, x = (float(s + v) for s, v in zip(start, way / np.linalg.norm(way) * rng.uniform(6, 11), strict=True))
        return cls(start, (z, y, x), float(rng.uniform(4000, 7000)))

    def lay_over_dura(self, inside: Inside) -> None:
        """Put it on the artery."""
        box, distance = inside.along((inside.locate(self.start), inside.locate(self.end)), 3)
        inside.blend(box, np.clip(1.4 - distance, 0, 1), self.hu)


@dataclass(frozen=True)
class AneurysmCoil(Mimic):
    """A ball of wire at an MNI point (z, y, x)."""

    centre: Point
    radius_mm: float
    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> AneurysmCoil:
        """Return one."""
        return cls(_site(rng), float(rng.uniform(2, 5)), float(rng.uniform(4000, 10000)))

    def lay_over_dura(self, inside: Inside) -> None:
        """Fill the aneurysm."""
        box, distance = inside.along((inside.locate(self.centre),), self.radius_mm + 3)
        rim = np.float32(self.radius_mm) * (1 + 0.1 * inside.at.texture[box]) - distance
        inside.blend(box, smoothstep(rim / 1.5 + 0.5), self.hu)
