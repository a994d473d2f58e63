# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Traces of surgery on the skull: burr holes and craniotomy flaps.

A burr hole is 10-15 mm wide and holds scar or fluid; a flap is cut with a kerf of 2-3 mm and held by titanium plates,
which are metal (above 3000 HU in the object).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.mimics.mimic import Mimic, Outside, Point

METAL_HU = 4500.0


def drill(outside: Outside, direction: Point, radius_mm: float, hu: float) -> Point:
    """Bore through the skull in a direction from the head's middle, fill the hole, and return its outer end."""
    end = outside.on_skull(direction)
    unit = np.asarray(direction) / np.linalg.norm(direction)
    z, y, x = (float(v) for v in np.asarray(end) - 22 * unit)
    out: Point = (end[0] + 3 * float(unit[0]), end[1] + 3 * float(unit[1]), end[2] + 3 * float(unit[2]))
    box, distance = outside.along(((z, y, x), out), radius_mm + 3)
    outside.blend(box, np.clip(0.5 + radius_mm - distance, 0, 1) * outside.bone(box), hu)
    return end


@dataclass(frozen=True)
class BurrHoles(Mimic):
    """Holes: a direction from the head's middle, radius in mm and HU of what fills each."""

    holes: tuple[tuple[Point, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BurrHoles:
        """Return one or two on a side."""
        side = float(rng.choice([-1, 1]))
        holes = []
        for forward in rng.choice([0.65, -0.45], int(rng.integers(1, 3)), replace=False):
            direction = (float(rng.uniform(0.55, 0.95)), float(forward + rng.normal(0, 0.1)), side * 0.62)
            holes.append((direction, float(rng.uniform(4.5, 7.5)), float(rng.uniform(5, 55))))
        return cls(tuple(holes))

    def lay_outside(self, outside: Outside) -> None:
        """Drill them."""
        for direction, radius, hu in self.holes:
            drill(outside, direction, radius, hu)


@dataclass(frozen=True)
class Craniotomy(Mimic):
    """A flap `wide` rad about a direction from the head's middle, cut `kerf_mm` wide; `plates` are angles on it."""

    direction: Point
    wide: float
    kerf_mm: float
    plates: tuple[float, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Craniotomy:
        """Return one: pterional, frontal, parietal or temporal."""
        side = float(rng.choice([-1, 1]))
        places = ((0.25, 0.6, 0.76), (0.6, 0.7, 0.4), (0.75, -0.3, 0.6), (0.2, -0.05, 0.98))
        z, y, x = places[int(rng.integers(4))]
        count = int(rng.integers(3, 5))
        turn = float(rng.uniform(0, 2 * np.pi))
        return cls(
            direction=(z, y, side * x),
            wide=float(rng.uniform(0.25, 0.5)),
            kerf_mm=float(rng.uniform(1.5, 3.5)),
            plates=tuple(turn + 2 * np.pi * k / count for k in range(count)) if rng.random() < 0.8 else (),
        )

    def _towards(self, angle: float, off: float) -> Point:
        """Return the direction `off` rad away from the flap's middle, at an angle about it."""
        middle = np.asarray(self.direction) / np.linalg.norm(self.direction)
        up = np.array([1.0, 0.0, 0.0]) - middle[0] * middle
        up /= np.linalg.norm(up)
        across = np.cross(middle, up)
        rim = np.cos(angle) * up + 1.25 * np.sin(angle) * across
        z, y, x = (float(v) for v in np.cos(off) * middle + np.sin(off) * rim)
        return z, y, x

    def lay_outside(self, outside: Outside) -> None:
        """Cut the flap and hold it."""
        box, _ = outside.along((outside.on_skull(self.direction),), 62)
        ring = np.clip(0.5 + self.kerf_mm / 2 - self._off(outside, box), 0, 1)
        outside.blend(box, ring * outside.bone(box), 25.0)
        for angle in self.plates:
            ends = tuple(outside.on_skull(self._towards(angle, self.wide + off)) for off in (-0.08, 0.08))
            box, distance = outside.along(ends, 4)
            flat = np.clip(1.1 - np.abs(outside.outer[box] - 0.6), 0, 1)
            outside.blend(box, np.clip(2.2 - distance, 0, 1) * flat, METAL_HU)

    def _off(self, outside: Outside, box: tuple[slice, slice, slice]) -> np.ndarray:
        """Return the distance (mm, about) along the vault to the flap's rim."""
        middle = np.asarray(self.direction) / np.linalg.norm(self.direction)
        up = np.array([1.0, 0.0, 0.0]) - middle[0] * middle
        up /= np.linalg.norm(up)
        across = np.cross(middle, up)
        grids = (outside.z[box[0]] - 10, outside.y[:, box[1]] + 18, outside.x[:, :, box[2]])
        along, high, wide = (
            sum(np.float32(c) * g for c, g in zip(axis, grids, strict=True)) for axis in (middle, up, across)
        )
        r = np.sqrt(along**2 + high**2 + wide**2)
        angle = np.arctan2(np.hypot(high, wide / np.float32(1.25)), along)
        return np.asarray(np.abs(angle - np.float32(self.wide)) * r, np.float32)
