# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The scalp after a fall, and what is stuck to it: swelling, lacerations with air, clips, electrodes, dressings.

A fresh scalp hematoma measures 50-75 HU as clot does; clips and lead snaps are metal (above 3000 HU in the object: the
scanner makes their streaks), gauze is nearly air.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Mimic, Outside, Point

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Swelling(Mimic):
    """A bump of `height_mm` about an MNI point (z, y, x), `width_mm` wide."""

    centre: Point
    width_mm: float
    height_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Swelling:
        """Return one."""
        across = float(rng.choice([-1, 1])) * float(rng.uniform(10, 75))
        back = float(rng.choice([-1, 1])) * 85 * float(np.sqrt(max(0.0, 1 - (across / 80) ** 2))) - 15
        return cls((float(rng.uniform(0, 70)), back, across), float(rng.uniform(14, 30)), float(rng.uniform(3, 11)))

    def lift(self, z: Field, y: Field, x: Field) -> Field:
        """Return how far the skin is lifted."""
        bell = [
            np.exp(-0.5 * ((grid - np.float32(c)) / np.float32(self.width_mm)) ** 2)
            for grid, c in zip((z, y, x), self.centre, strict=True)
        ]
        return np.asarray(np.float32(self.height_mm) * bell[0] * (bell[1] * bell[2]), np.float32)


def _around(rng: np.random.Generator) -> Point:
    """Return a direction from the head's middle to the scalp."""
    around, up = float(rng.uniform(-np.pi, np.pi)), float(rng.uniform(-0.1, 1.1))
    return float(np.sin(up)), float(np.cos(up) * np.cos(around)), float(np.cos(up) * np.sin(around))


@dataclass(frozen=True)
class Laceration(Mimic):
    """A cut of the scalp along two directions from the head's middle, with bubbles of air: direction, depth, radius."""

    start: Point
    end: Point
    bubbles: tuple[tuple[Point, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Laceration:
        """Return one."""
        start = _around(rng)
        z, y, x = (a + float(rng.normal(0, 0.12)) for a in start)
        bubbles = []
        for _ in range(int(rng.integers(2, 9))):
            bz, by, bx = (a + float(rng.normal(0, 0.1)) for a in start)
            bubbles.append(((bz, by, bx), -float(rng.uniform(1.5, 4)), float(rng.uniform(0.6, 2.2))))
        return cls(start, (z, y, x), tuple(bubbles))

    def lay_outside(self, outside: Outside) -> None:
        """Cut, swell and fill it with air."""
        ends = tuple(
            outside.on_skin(
                (
                    (1 - t) * self.start[0] + t * self.end[0],
                    (1 - t) * self.start[1] + t * self.end[1],
                    (1 - t) * self.start[2] + t * self.end[2],
                )
            )
            for t in (0.0, 0.33, 0.67, 1.0)
        )
        box, distance = outside.along(ends, 6)
        over_bone = np.clip(outside.outer[box] - 1.0, 0, 1)
        outside.blend(box, np.clip((6 - distance) / 4, 0, 0.7) * over_bone * (outside.skin[box] < -0.5), 58.0)
        outside.blend(box, np.clip(1.3 - distance, 0, 1) * over_bone, -1000.0)
        for direction, depth, radius in self.bubbles:
            box, distance = outside.along((outside.on_skin(direction, depth),), radius + 2)
            outside.blend(box, np.clip(radius + 0.5 - distance, 0, 1) * np.clip(outside.outer[box], 0, 1), -1000.0)


@dataclass(frozen=True)
class SkinClips(Mimic):
    """A row of metal staples on the skin, at directions from the head's middle."""

    staples: tuple[Point, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SkinClips:
        """Return a row of four to fourteen."""
        z, y, x = _around(rng)
        way = rng.standard_normal(3)
        way = way / np.linalg.norm(way) * 0.075
        return cls(
            tuple(
                (z + k * float(way[0]), y + k * float(way[1]), x + k * float(way[2]))
                for k in range(int(rng.integers(4, 15)))
            )
        )

    def lay_outside(self, outside: Outside) -> None:
        """Press them into the skin."""
        for direction in self.staples:
            top = outside.on_skin(direction, 0.3)
            box, distance = outside.along((top, (top[0] + 1.5, top[1] + 2.0, top[2])), 2)
            outside.blend(box, np.clip(1.0 - distance, 0, 1), 4000.0)


@dataclass(frozen=True)
class Electrodes(Mimic):
    """Discs on the skin with leads that run down from them: directions from the head's middle, HU of the disc."""

    places: tuple[Point, ...]
    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Electrodes:
        """Return one lead, or an EEG's worth of them."""
        count = int(rng.choice([1, 2, 8]))
        return cls(tuple(_around(rng) for _ in range(count)), float(rng.uniform(800, 4000)))

    def lay_outside(self, outside: Outside) -> None:
        """Stick them on."""
        for direction in self.places:
            place = outside.on_skin(direction, 1.2)
            box, distance = outside.along((place,), 6)
            layer = np.clip(1.3 - np.abs(outside.skin[box] - 1.2), 0, 1)
            outside.blend(box, np.clip(4.5 - distance, 0, 1) * layer, self.hu)
            z, y, x = place
            lead = [place]
            for down in (12.0, 26.0, 42.0):
                lead.append(outside.on_skin((z - 10 - down, y + 18, x), 2.0))
            box, distance = outside.along(tuple(lead), 2)
            outside.blend(box, np.clip(0.9 - distance, 0, 1), 0.5 * self.hu)


@dataclass(frozen=True)
class Dressing(Mimic):
    """Gauze or a collar's rim about the head at MNI heights from `low` to `high`, `thick_mm` thick, of `hu`."""

    low: float
    high: float
    thick_mm: float
    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Dressing:
        """Return one."""
        low = float(rng.uniform(-20, 40))
        return cls(low, low + float(rng.uniform(20, 60)), float(rng.uniform(2, 8)), float(rng.uniform(-900, -450)))

    def lay_outside(self, outside: Outside) -> None:
        """Wrap it around."""
        layer = np.clip(outside.skin + 0.5, 0, 1) * np.clip(self.thick_mm + 0.5 - outside.skin, 0, 1)
        layer = layer * smoothstep((outside.z - self.low) / 4) * smoothstep((self.high - outside.z) / 4)
        outside.hu[...] += layer * np.maximum(np.float32(self.hu) - outside.hu, 0)
