# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""White matter that is darker beside the ventricles, and lacunes: small vessel disease.

Leukoaraiosis (named by Hachinski et al., Arch Neurol 1987) shows on the CT of a fifth of healthy volunteers of 18 to 88
years and of half of the demented (Kobari et al., Arch Neurol 1990), lacunes of 3-15 mm as dark as CSF in about a fifth
of the elderly (Vermeer et al., Lancet Neurol 2007).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Inside, Mimic, Point


@dataclass(frozen=True)
class WhiteMatterDisease(Mimic):
    """`hu` less in the white matter at the ventricles, fading within `reach_mm`."""

    hu: float
    reach_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> WhiteMatterDisease:
        """Return one."""
        return cls(float(rng.uniform(3, 10)), float(rng.uniform(4, 9)))

    def lay_in_brain(self, inside: Inside) -> None:
        """Darken the white matter."""
        at = inside.at
        near = np.exp(-np.maximum(at.from_ventricle, 0) / np.float32(self.reach_mm)) * (at.tentorium > 2)
        inside.hu[...] -= np.float32(self.hu) * at.white * near * np.clip(1 + 0.4 * at.texture, 0, 2)


@dataclass(frozen=True)
class Lacunes(Mimic):
    """Holes in deep grey and white matter: (MNI z, y, x) and radius in mm of each."""

    holes: tuple[tuple[Point, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Lacunes:
        """Return one to five of them."""
        holes = []
        for _ in range(int(rng.integers(1, 6))):
            side = float(rng.choice([-1, 1]))
            middle = ((2.0, 2.0, 24.0), (7.0, -16.0, 12.0), (24.0, 0.0, 24.0), (-28.0, -24.0, 4.0))
            z, y, x = middle[int(rng.choice(4, p=[0.4, 0.2, 0.3, 0.1]))]
            point = (z + float(rng.normal(0, 3)), y + float(rng.normal(0, 6)), side * (x + float(rng.normal(0, 2))))
            holes.append((point, float(rng.uniform(1.5, 5))))
        return cls(tuple(holes))

    def lay_in_brain(self, inside: Inside) -> None:
        """Hollow them."""
        for point, radius in self.holes:
            box, distance = inside.along((inside.locate(point),), 1.5 * radius + 3)
            rim = np.float32(radius) * (1 + 0.3 * inside.at.texture[box]) - distance
            inside.blend(box, smoothstep(rim / 1.5 + 0.5) * 0.9 * inside.at.brain[box], inside.tissue.csf + 3)
