# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Falx and tentorium that are denser and thicker than most, and calcium in them.

A normal falx is seen in nine scans of ten (Zimmerman et al., AJR 1982) and passes for blood (Osborn et al., Radiology
1980), above all beside swollen brain. Calcium is seen in the falx in 6-27 % of heads, in the tentorium in up to 7 %, in
the petroclinoid ligaments in 13-29 % (Daghighi et al., Folia Morphol 2007; Ghorbanlou et al., Anat Cell Biol 2022; two
more series in `docs/sources.md`), ossified plaques of several hundred HU among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Box, Inside, Mimic, Point

Field = NDArray[np.float32]

# MNI z, y, |x| from the petrous apex to the posterior clinoid process.
_LIGAMENT: tuple[Point, ...] = ((-30.0, -20.0, 18.0), (-23.0, -12.0, 13.0), (-19.0, -3.0, 9.0))


@dataclass(frozen=True)
class DenseDura(Mimic):
    """`falx_hu` and `tentorium_hu` more than dura has, in a falx up to `thicker` voxels wider in places."""

    falx_hu: float
    tentorium_hu: float
    thicker: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> DenseDura:
        """Return one."""
        hu = float(rng.uniform(4, 18))
        return cls(hu, hu * float(rng.uniform(0.3, 1)), float(max(0.0, rng.uniform(-0.6, 0.5))))

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
    def draw(cls, rng: np.random.Generator) -> FalxPlaques:
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
        inside.add_most(self._parts(inside))

    def _parts(self, inside: Inside) -> Iterator[tuple[Box, Field]]:
        """Yield for each plaque a box and what the plaque adds there."""
        at = inside.at
        for z, y, length, height, thickness, hu in self.plaques:
            centre = inside.locate((z, y, 0.0))
            box, _ = inside.along((centre,), max(length, height) + 4)
            apart = ((at.z[box[0]] - centre[0]) / height) ** 2 + ((at.y[:, box[1]] - centre[1]) / length) ** 2
            reach = np.float32(thickness) * np.maximum(1 - apart, -3) * (1 + 0.35 * at.texture[box])
            share = smoothstep((reach - np.abs(at.falx[box])) / 1.2 + 0.5) * (1 - 0.5 * at.brain[box])
            yield box, np.asarray(share * np.float32(hu), np.float32)


@dataclass(frozen=True)
class TentorialCalcium(Mimic):
    """Dense lines and bands where the tentorium meets the petrous ridges: side, half thickness in mm and HU of each.

    Attributes
    ----------
    ligaments: those from the petrous apex to the clinoid process.
    bands: those along the ridge, `reach_mm` up the sheet.
    """

    ligaments: tuple[tuple[float, float, float], ...]
    bands: tuple[tuple[float, float, float], ...]
    reach_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> TentorialCalcium:
        """Return one: ligaments two times in three, else bands, sometimes both."""
        hu = float(rng.uniform(40, 450))

        def sides() -> tuple[tuple[float, float, float], ...]:
            chosen = ((-1.0,), (1.0,), (-1.0, 1.0))[int(rng.integers(3))]
            return tuple((side, float(rng.uniform(0.7, 1.5)), hu * float(rng.uniform(0.5, 1))) for side in chosen)

        which = rng.random()
        return cls(sides() if which < 0.7 else (), sides() if which > 0.55 else (), float(rng.uniform(3, 8)))

    def lay_over_dura(self, inside: Inside) -> None:
        """Draw them."""
        at = inside.at
        for side, half, hu in self.ligaments:
            box, distance = inside.along(tuple((z, y, side * x) for z, y, x in _LIGAMENT), half + 2)
            inside.hu[box] += np.clip(half + 0.5 - distance, 0, 1) * np.float32(hu)
        for side, half, hu in self.bands:
            box, _ = inside.along(((-34.0, -14.0, side * 18.0), (-28.0, -44.0, side * 54.0)), 12)
            sheet = np.clip(half + 0.5 - np.abs(at.tentorium[box]), 0, 1) * np.clip(0.6 + 0.5 * at.texture[box], 0, 1.2)
            sheet *= smoothstep((self.reach_mm - at.depth[box]) / 2) * smoothstep((at.z[box[0]] + 40) / 6)
            inside.hu[box] += sheet * np.float32(hu)
