# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A ventricular shunt: a thin radio-opaque tube from a burr hole to a ventricle, and its valve under the scalp.

Catheters are 2.5-3 mm wide with a lumen of 1.2 mm; barium in their silicone gives some hundred HU.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.mimics.mimic import Inside, Mimic, Outside, Point
from simulator.mimics.openings import drill


@dataclass(frozen=True)
class Shunt(Mimic):
    """A catheter from a direction on the skull to the MNI point of its tip (z, y, x).

    Attributes
    ----------
    wall_hu: of its wall.
    radius_mm: of the tube.
    valve_hu: of the valve under the scalp, 0 where it lies elsewhere.
    """

    direction: Point
    tip: Point
    wall_hu: float
    radius_mm: float
    valve_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Shunt:
        """Return one, frontal or from behind."""
        side = float(rng.choice([-1, 1]))
        if rng.random() < 0.55:
            direction, tip = (0.83, 0.42, side * 0.38), (8.0, 17.0, side * 6.0)
        else:
            direction, tip = (0.38, -0.82, side * 0.42), (16.0, 6.0, side * 9.0)
        z, y, x = (d + float(rng.normal(0, 0.04)) for d in direction)
        return cls(
            direction=(z, y, x),
            tip=tip,
            wall_hu=float(rng.uniform(150, 600)),
            radius_mm=float(rng.uniform(1.3, 1.7)),
            valve_hu=float(rng.uniform(150, 1500)) if rng.random() < 0.6 else 0.0,
        )

    def lay_over_dura(self, inside: Inside) -> None:
        """Draw the tube."""
        start = inside.beneath(self.direction, 0.0)
        tip = inside.locate(self.tip)
        box, distance = inside.along((start, tip), 4)
        tube = np.clip(self.radius_mm + 0.5 - distance, 0, 1)
        lumen = 0.6 * np.clip(1.1 - distance, 0, 1)
        inside.blend(box, tube, self.wall_hu)
        inside.blend(box, lumen, inside.tissue.csf)

    def lay_outside(self, outside: Outside) -> None:
        """Drill its hole, lay the tube through it and the valve on it."""
        end = drill(outside, self.direction, 5.0, 20.0)
        unit = np.asarray(self.direction) / np.linalg.norm(self.direction)
        z, y, x = (float(v) for v in np.asarray(end) - 20 * unit)
        box, distance = outside.along(((z, y, x), end), 4)
        outside.blend(box, np.clip(self.radius_mm + 0.5 - distance, 0, 1), self.wall_hu)
        # The tube goes on under the scalp, down behind the ear.
        below = [end]
        for share in (0.2, 0.4, 0.6, 0.8, 1.0):
            towards = tuple(
                (1 - share) * a + share * b
                for a, b in zip(self.direction, (-0.55, -0.5, 0.9 * np.sign(self.direction[2])), strict=True)
            )
            below.append(outside.on_skull((towards[0], towards[1], towards[2])))
        box, distance = outside.along(tuple(below), 4)
        outside.blend(box, np.clip(self.radius_mm + 0.5 - distance, 0, 1), self.wall_hu)
        if self.valve_hu:
            box, distance = outside.along((end,), 9)
            flat = np.clip(2.5 - np.abs(outside.outer[box] - 2), 0, 1)
            outside.blend(box, np.clip(6.0 - distance, 0, 1) * flat, self.valve_hu)
