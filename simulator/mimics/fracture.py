# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A broken skull: a thin dark line through both tables, straighter than a suture and without its turns.

Some percent of head CTs after trauma show one (Stiell et al., Lancet 2001). It is drawn without regard to what bleeds,
so that a fracture tells nothing of a diagnosis; where there is epidural blood, it lies at the fracture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import MIDDLE, Mimic, Outside, Point


@dataclass(frozen=True)
class Fracture(Mimic):
    """A line through the vault.

    Attributes
    ----------
    middle: direction z, y, x from the head's middle.
    course: unit vector z, y, x across that, along which it runs.
    length_mm, width_mm: of the line.
    bend: how far it bends off a plane, mm at its ends.
    phase: of its small turns.
    """

    middle: Point
    course: Point
    length_mm: float
    width_mm: float
    bend: float
    phase: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Fracture:
        """Return one; most are temporal or parietal."""
        side = float(rng.choice([-1, 1]))
        around, up = float(np.clip(rng.normal(0.1, 0.6), -1.2, 1.2)), float(rng.uniform(0.0, 0.8))
        out = np.array([np.sin(up), -np.cos(up) * np.sin(around), side * np.cos(up) * np.cos(around)])
        way = np.cross(out, rng.standard_normal(3))
        way /= np.linalg.norm(way)
        z, y, x = (float(v) for v in out)
        wz, wy, wx = (float(v) for v in way)
        return cls(
            middle=(z, y, x),
            course=(wz, wy, wx),
            length_mm=float(rng.uniform(20, 85)),
            width_mm=float(rng.uniform(0.6, 2.0)),
            bend=float(rng.normal(0, 5)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )

    @property
    def side(self) -> float:
        """+1 where MNI x is positive, -1 on the other side."""
        return 1.0 if self.middle[2] > 0 else -1.0

    @property
    def place(self) -> Point:
        """MNI z, y, x (mm) of about where its middle meets the inner table."""
        z, y, x = (m + radius * d for m, radius, d in zip(MIDDLE, (60, 75, 62), self.middle, strict=True))
        return z, y, x

    def lay_outside(self, outside: Outside) -> None:
        """Part the bone."""
        box, _ = outside.along((outside.on_skull(self.middle),), 0.5 * self.length_mm + 12)
        z, y, x = (
            line[tuple(box[a] if line.shape[a] > 1 else slice(None) for a in range(3))] - np.float32(MIDDLE[a])
            for a, line in enumerate((outside.z, outside.y, outside.x))
        )
        cz, cy, cx = (np.float32(c) for c in self.course)
        nz, ny, nx = (np.float32(c) for c in np.cross(self.middle, self.course))
        along = cz * z + cy * y + cx * x
        turns = np.sin(along * np.float32(0.35) + np.float32(self.phase)) * np.float32(0.8)
        off = nz * z + ny * y + nx * x - np.float32(self.bend) * (along / np.float32(0.5 * self.length_mm)) ** 2 - turns
        within = smoothstep((0.5 * self.length_mm - np.abs(along)) / 6)
        gap = np.clip(0.5 * self.width_mm + 0.5 - np.abs(off), 0, min(1.0, self.width_mm)) * within
        outside.blend(box, gap * outside.bone(box), 40.0)
