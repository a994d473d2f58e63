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

from training.simulator.mimics.mimic import Mimic, Point

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Swelling(Mimic):
    """A bump of `height_mm` about an MNI point (z, y, x), `width_mm` wide."""

    centre: Point
    width_mm: float
    height_mm: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Swelling:
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
