# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Dural sinuses and flowing blood that are denser or larger than most, and what lies in the sinuses.

Flowing blood in sinuses measures 53 +- 7 HU and rises with the haematocrit; a clot in them 74 +- 9 HU (Buyck et al.,
AJNR 2013): of 166 heads without thrombosis none is above 70 HU (Black et al., AJNR 2011). One transverse sinus is
smaller than the other in two heads of three, most often the left one (Alper et al., Cerebrovasc Dis 2004); arachnoid
granulations of a few millimetres, two of three darker than brain, are seen in the sinuses of a quarter of all heads,
nearly all in the transverse ones (Leach et al., AJNR 1996).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import Landmarks, smoothstep
from simulator.mimics.mimic import Inside, Mimic, Point
from simulator.tissue import Tissue, blood_hu

Field = NDArray[np.float32]


def sagittal(at: Landmarks, wider_mm: float) -> Field:
    """Return how much of each voxel lies in the posterior half of a superior sagittal sinus widened by so much."""
    wedge = smoothstep((3.0 + wider_mm - np.abs(at.falx) - 0.35 * at.depth) / 2)
    return np.asarray(wedge * smoothstep((8 + wider_mm - at.depth) / 3) * ((at.y < -30) & (at.z > -12)), np.float32)


def transverse(at: Landmarks, side: float, wider_mm: float) -> Field:
    """Return how much of each voxel lies in the transverse sinus of a side (-1 left, 1 right) widened by so much."""
    height = smoothstep((3.0 + wider_mm - np.abs(at.tentorium)) / 2)
    here = (at.y < -42) & (at.z < 12) & (np.float32(side) * at.falx > -2)
    return np.asarray(height * smoothstep((6 + wider_mm - at.depth) / 3) * here, np.float32)


def confluence(at: Landmarks, radius_mm: float, off_mm: float) -> Field:
    """Return how much of each voxel lies in the torcula, `off_mm` to the right of the midline."""
    across = (at.falx - np.float32(off_mm)) / np.float32(1.5 * radius_mm)
    apart = np.sqrt(across**2 + (at.tentorium / np.float32(radius_mm)) ** 2)
    here = smoothstep((1 - apart) * radius_mm / 2 + 0.5) * smoothstep((8 - at.depth) / 3)
    return np.asarray(here * (at.y < -70), np.float32)


@dataclass(frozen=True)
class LargeSinuses(Mimic):
    """A large torcula, and one transverse and sigmoid sinus `wider_mm` wider than the other."""

    side: float
    wider_mm: float
    torcula_mm: float
    torcula_off_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> LargeSinuses:
        """Return one."""
        return cls(
            side=float(rng.choice([-1, 1], p=[0.25, 0.75])),
            wider_mm=float(rng.uniform(0.5, 2.5)),
            torcula_mm=float(rng.uniform(2.5, 5)),
            torcula_off_mm=float(rng.normal(2, 3)),
        )

    def lay_over_dura(self, inside: Inside) -> None:
        """Fill them with blood."""
        at = inside.at
        share = np.maximum(
            transverse(at, self.side, self.wider_mm), confluence(at, self.torcula_mm, self.torcula_off_mm)
        )
        side = self.side
        course: tuple[Point, ...] = (
            (-22.0, -66.0, side * 56.0),
            (-32.0, -54.0, side * 57.0),
            (-46.0, -42.0, side * 50.0),
        )
        box, distance = inside.along(course, 8)
        sigmoid = np.clip(2.5 + 0.6 * self.wider_mm - distance, 0, 1) * (1 - at.brain[box])
        share[box] = np.maximum(share[box], sigmoid)
        share *= 1 - 0.5 * at.brain
        inside.hu[...] += share * np.maximum(np.float32(inside.tissue.venous) - inside.hu, 0)


@dataclass(frozen=True)
class ThickBlood(Mimic):
    """A high haematocrit (percent): denser blood in all sinuses and arteries, and clots denser with it."""

    haematocrit: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ThickBlood:
        """Return one."""
        return cls(float(rng.uniform(52, 58)))

    def thicken(self, tissue: Tissue) -> Tissue:
        """Return the tissues with that blood."""
        return replace(tissue, venous=blood_hu(self.haematocrit), haematocrit=self.haematocrit)


@dataclass(frozen=True)
class SinusThrombosis(Mimic):
    """A clot of `hu` in the superior sagittal sinus (side 0) or in a transverse one, which it widens."""

    side: float
    hu: float
    wider_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> SinusThrombosis:
        """Return one."""
        return cls(float(rng.choice([-1, 0, 1])), float(rng.uniform(62, 88)), float(rng.uniform(0.5, 2.5)))

    def lay_over_dura(self, inside: Inside) -> None:
        """Fill the sinus with clot."""
        at = inside.at
        share = transverse(at, self.side, self.wider_mm) if self.side else sagittal(at, self.wider_mm)
        share *= 1 - 0.6 * at.brain
        inside.hu[...] += share * np.maximum(np.float32(self.hu) + at.texture - inside.hu, 0)


@dataclass(frozen=True)
class ArachnoidGranulations(Mimic):
    """Buds as dark as CSF in or beside the sinuses: a direction from the head's middle and a radius in mm for each."""

    buds: tuple[tuple[Point, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ArachnoidGranulations:
        """Return one to four of them, in the transverse sinuses or beside the sagittal one."""
        buds = []
        for _ in range(int(rng.integers(1, 5))):
            if rng.random() < 0.5:
                turn = float(rng.uniform(0.15, 1.2)) * float(rng.choice([-1, 1]))
                direction = (-0.36 + float(rng.normal(0, 0.02)), -float(np.cos(turn)), float(np.sin(turn)))
            else:
                turn = float(rng.uniform(0.5, 2.4))
                direction = (float(np.sin(turn)), float(np.cos(turn)), float(rng.normal(0, 0.13)))
            buds.append((direction, float(rng.uniform(1.5, 4.0))))
        return cls(tuple(buds))

    def lay_over_dura(self, inside: Inside) -> None:
        """Hollow them."""
        for direction, radius in self.buds:
            box, distance = inside.along((inside.beneath(direction, radius + 0.5),), radius + 3)
            share = smoothstep((radius - distance) / 1.5 + 0.5)
            inside.blend(box, share, inside.tissue.csf + 4)
