# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Calcium in pineal gland, habenula, choroid plexus, basal ganglia, dentate nuclei and cortex.

Heads show it in 38-76 % (pineal), 20-62 % (habenula), 52-78 % (choroid plexus), 0.6-6 % (basal ganglia) (Daghighi et
al., Folia Morphol 2007; Ghorbanlou et al., Anat Cell Biol 2022; three more series in `docs/sources.md`). That of the
basal ganglia lies in the pallida, alike on both sides (Koller et al., Neurology 1979: 14 of 4219 scans). Where it is
faint it is the one most like blood, so it is drawn more often than life has it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.mimics.mimic import Inside, Mimic, Point


@dataclass(frozen=True)
class Specks(Mimic):
    """Ragged balls at atlas points: (MNI z, y, x), radius in mm and HU added for each."""

    specks: tuple[tuple[Point, float, float], ...]

    def lay_over_dura(self, inside: Inside) -> None:
        """Add the calcium."""
        inside.add_most(inside.ball(point, radius, hu) for point, radius, hu in self.specks)


def _about(rng: np.random.Generator, point: Point, spread: Point) -> Point:
    """Return a point normally distributed about another."""
    z, y, x = (float(rng.normal(p, s)) for p, s in zip(point, spread, strict=True))
    return z, y, x


class Pineal(Specks):
    """One spot, sometimes two, at the midline behind the third ventricle."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Pineal:
        """Return one."""
        hu = float(rng.uniform(80, 380))
        return cls(
            tuple(
                (_about(rng, (1.0, -28.0, 0.0), (0.8, 1.2, 0.7)), float(rng.uniform(1.2, 2.8)), hu)
                for _ in range(int(rng.integers(1, 3)))
            )
        )


class Habenula(Specks):
    """A short curved line some millimetres in front of the pineal gland."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Habenula:
        """Return one."""
        hu, radius = float(rng.uniform(60, 220)), float(rng.uniform(0.8, 1.3))
        z, y, _ = _about(rng, (4.0, -23.0, 0.0), (0.6, 0.8, 0.0))
        return cls(tuple(((z, y + 0.25 * abs(x), x), radius, hu) for x in (-3.0, -1.2, 1.2, 3.0)))


class ChoroidPlexus(Specks):
    """Clumps in the trigones, most often on both sides and about alike."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ChoroidPlexus:
        """Return one."""
        hu = float(rng.uniform(60, 320))
        sides = ((-1.0,), (1.0,), (-1.0, 1.0))[int(rng.choice(3, p=[0.12, 0.12, 0.76]))]
        specks = []
        for side in sides:
            for _ in range(int(rng.integers(1, 5))):
                point = _about(rng, (9.0, -41.0, side * 24.0), (2.5, 2.5, 2.0))
                specks.append((point, float(rng.uniform(0.8, 3.2)), hu * float(rng.uniform(0.4, 1))))
        return cls(tuple(specks))


class BasalGanglia(Specks):
    """Faint specks within a haze in both pallida, about alike."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BasalGanglia:
        """Return one."""
        haze, hu = float(rng.uniform(8, 40)), float(rng.uniform(15, 130))
        radius, shape = float(rng.uniform(3.0, 5.5)), _about(rng, (-1.0, -1.0, 17.5), (1.0, 1.0, 0.7))
        specks = []
        for side in (-1.0, 1.0):
            much = float(rng.uniform(0.7, 1.2))
            z, y, x = shape
            specks.append(((z, y + 3, side * (x - 1)), radius * 0.8, haze * much))
            specks.append(((z, y - 2, side * (x + 1)), radius, haze * much))
            for _ in range(int(rng.integers(2, 7))):
                point = _about(rng, (z, y, side * x), (2.2, 3.2, 1.8))
                specks.append((point, float(rng.uniform(0.8, 2.2)), hu * much * float(rng.uniform(0.3, 1))))
        return cls(tuple(specks))


class DentateNuclei(Specks):
    """Crescents in both cerebellar hemispheres."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> DentateNuclei:
        """Return one."""
        hu, radius = float(rng.uniform(20, 200)), float(rng.uniform(1.5, 2.8))
        specks = []
        for side in (-1.0, 1.0):
            for turn in np.linspace(-0.9, 0.9, 5):
                point = (-34.0 + float(rng.normal(0, 0.6)), -58.0 + 8 * float(np.sin(turn)), 0.0)
                across = side * (10.5 + 7 * float(np.cos(turn)))
                specks.append(((point[0], point[1], across), radius, hu * float(rng.uniform(0.5, 1))))
        return cls(tuple(specks))


class CorticalCalcification(Specks):
    """A gyrus's line of calcium, a granuloma or a tuber near the surface of one hemisphere."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> CorticalCalcification:
        """Return one."""
        hu, side = float(rng.uniform(60, 400)), float(rng.choice([-1.0, 1.0]))
        around, up = float(rng.uniform(-2.4, 2.4)), float(rng.uniform(-0.1, 1.1))
        step, count = float(rng.uniform(0.03, 0.05)), int(rng.choice([1, 1, 4, 7]))
        specks = []
        for _ in range(count):
            # About 9 mm under an ellipsoid that the inner table resembles.
            point = (5 + 60 * np.sin(up), -18 + 76 * np.cos(up) * np.cos(around), side * 55 * np.cos(up))
            specks.append(
                (
                    (float(point[0]), float(point[1]), float(point[2] * abs(np.sin(around)))),
                    float(rng.uniform(1.0, 3.0 if count == 1 else 1.8)),
                    hu * float(rng.uniform(0.6, 1)),
                )
            )
            around += step * float(rng.uniform(0.5, 1.2))
            up += float(rng.normal(0, 0.03))
        return cls(tuple(specks))
