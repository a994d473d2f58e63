# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Falx and tentorium that are denser and thicker than most, and calcium in them.

Dura measures 40-65 HU and is denser in the old (Osborn et al., Radiology 1980); calcium is seen in the falx in 7-27 %
of adults, in the tentorium in 7 %, in the petroclinoid ligaments in 13 % (Daghighi et al., Folia Morphol 2007;
Ghorbanlou et al., Anat Cell Biol 2022), ossified plaques of several hundred HU among them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from training.simulator.landmarks import smoothstep
from training.simulator.mimics.mimic import Inside, Mimic, Point


@dataclass(frozen=True)
class DenseDura(Mimic):
    """`falx_hu` and `tentorium_hu` more than dura has, in a falx up to `thicker` voxels wider in places."""

    falx_hu: float
    tentorium_hu: float
    thicker: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> DenseDura:
        """Return one."""
        hu = float(rng.uniform(5, 28))
        return cls(hu, hu * float(rng.uniform(0.3, 1)), float(max(0.0, rng.uniform(-0.6, 0.9))))

    def lay_over_dura(self, inside: Inside) -> None:
        """Raise the membranes."""
        if self.thicker:
            wide = ndimage.maximum_filter1d(inside.falx, 3, axis=2) - inside.falx
            wide *= np.clip(np.float32(self.thicker) * (1 + 0.6 * inside.at.texture), 0, 1)
            inside.hu[...] += wide * np.maximum(np.float32(inside.tissue.dura + self.falx_hu) - inside.hu, 0)
        outside_sinus = 1 - inside.sinus
        inside.hu[...] += outside_sinus * inside.falx * np.float32(self.falx_hu)
        inside.hu[...] += outside_sinus * inside.tentorium * np.float32(self.tentorium_hu)


@dataclass(frozen=True)
class FalxPlaques(Mimic):
    """Calcified or ossified plaques: place (MNI z, y), half length, half height and half thickness in mm, and HU."""

    plaques: tuple[tuple[float, float, float, float, float, float], ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> FalxPlaques:
        """Return one to five of them, most in the front half, near the vault."""
        hu = float(rng.uniform(120, 900))
        plaques = []
        for _ in range(int(rng.integers(1, 6))):
            turn, out = np.deg2rad(rng.uniform(15, 150)), float(rng.uniform(0.68, 0.93))
            z, y = 6 + 72 * np.sin(turn) * out, -16 + 86 * np.cos(turn) * out
            half = (float(rng.uniform(1.5, 12)), float(rng.uniform(1.5, 6)), float(rng.uniform(0.6, 2.4)))
            plaques.append((float(z), float(y), *half, hu * float(rng.uniform(0.4, 1))))
        return cls(tuple(plaques))

    def lay_over_dura(self, inside: Inside) -> None:
        """Put them into the falx."""
        at = inside.at
        for z, y, length, height, thickness, hu in self.plaques:
            centre = inside.seen((z, y, 0.0))
            box, _ = inside.along((centre,), max(length, height) + 4)
            apart = ((at.z[box[0]] - centre[0]) / height) ** 2 + ((at.y[:, box[1]] - centre[1]) / length) ** 2
            reach = np.float32(thickness) * np.maximum(1 - apart, -3) * (1 + 0.35 * at.texture[box])
            share = smoothstep((reach - np.abs(at.falx[box])) / 1.2 + 0.5) * (1 - 0.5 * at.brain[box])
            inside.hu[box] += share * np.float32(hu)


@dataclass(frozen=True)
class TentorialCalcium(Mimic):
    """Dense lines where the tentorium meets the petrous ridges: (side, radius in mm, HU, how far they run)."""

    lines: tuple[tuple[float, float, float, float], ...]

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> TentorialCalcium:
        """Return one."""
        hu = float(rng.uniform(40, 450))
        sides = ((-1.0,), (1.0,), (-1.0, 1.0))[int(rng.integers(3))]
        return cls(
            tuple(
                (s, float(rng.uniform(0.7, 1.5)), hu * float(rng.uniform(0.6, 1)), float(rng.uniform(0.3, 1)))
                for s in sides
            )
        )

    def lay_over_dura(self, inside: Inside) -> None:
        """Draw the petroclinoid ligaments and the ridges' edge of the tentorium."""
        for side, radius, hu, run in self.lines:
            start: Point = (-20.0, -6.0, side * 10.0)
            end: Point = (-24.0 + 4 * run, -14.0 - 30 * run, side * (14.0 + 34 * run))
            box, distance = inside.along((start, (-23.0, -14.0, side * 15.0), end), radius + 2)
            uneven = np.clip(0.7 + 0.5 * inside.at.texture[box], 0.1, 1.3)
            share = np.clip(radius + 0.5 - distance, 0, 1) * uneven * (1 - 0.7 * inside.at.brain[box])
            inside.hu[box] += share * np.float32(hu)
