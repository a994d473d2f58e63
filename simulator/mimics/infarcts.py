# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Infarcts in the territories of the cerebral arteries: old ones hollowed, fresh ones dark and swollen.

Old infarcts are as dark as CSF and draw the ventricle towards them; fresh ones lose the contrast of grey and white and
some HU: half are dark within three hours (Grond et al., Stroke 2000), rats' brains lose 4 HU in six and 1.8 for each
percent of water (Dzialowski et al., J Neuroimaging 2004); up to 18 in grey and 10 in white matter are drawn. In a
quarter to a third of middle cerebral artery strokes that artery is dense (Tomsick et al., AJNR 1992), 47-61 HU in the
mean (Koo et al., Cerebrovasc Dis 2000); it is drawn in half, because it is what confuses. An MRI shows old infarcts in
7 % of the middle-aged (Vernooij et al., N Engl J Med 2007), emergency CTs more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Box, Inside, Mimic, Nodes, Point

Field = NDArray[np.float32]

# Territory: MNI apex (z, y, |x|) of a cone, where its middle meets the cortex, half opening in degrees, least distance
# from the midline in mm, and whether it lies below the tentorium.
_TERRITORIES: dict[str, tuple[Point, Point, float, float, bool]] = {
    "middle cerebral": ((4.0, -12.0, 18.0), (14.0, -14.0, 66.0), 52.0, 14.0, False),
    "middle cerebral, upper": ((14.0, 0.0, 20.0), (30.0, 6.0, 62.0), 33.0, 14.0, False),
    "middle cerebral, lower": ((4.0, -24.0, 22.0), (8.0, -48.0, 62.0), 30.0, 16.0, False),
    "lenticulostriate": ((-6.0, -4.0, 12.0), (14.0, 4.0, 34.0), 30.0, 10.0, False),
    "anterior cerebral": ((16.0, 8.0, 2.0), (62.0, 28.0, 8.0), 24.0, 0.0, False),
    "posterior cerebral": ((0.0, -36.0, 14.0), (4.0, -98.0, 16.0), 26.0, 0.0, False),
    "border zone": ((24.0, -10.0, 22.0), (66.0, -20.0, 34.0), 13.0, 8.0, False),
    "cerebellar": ((-38.0, -50.0, 8.0), (-46.0, -88.0, 34.0), 34.0, 1.0, True),
}
_RATES = (0.16, 0.2, 0.18, 0.12, 0.06, 0.12, 0.06, 0.1)
_FIRST_PART: tuple[Point, ...] = ((-18.0, 4.0, 14.0), (-18.0, 4.0, 22.0), (-14.0, 4.0, 33.0), (-9.0, 0.0, 40.0))
_DEEP_MM = 34.0  # deep infarcts end short of the cortex


@dataclass(frozen=True)
class Territory:
    """Part of an artery's territory on one side; `opening` is relative to the whole."""

    name: str
    side: float
    opening: float

    @classmethod
    def draw(cls, rng: np.random.Generator, *, smallest: float) -> Territory:
        """Return one."""
        name = str(rng.choice(list(_TERRITORIES), p=_RATES))
        return cls(name, float(rng.choice([-1, 1])), float(rng.uniform(smallest, 1)))

    @property
    def middle(self) -> Point:
        """The MNI point amid it."""
        apex, end, *_ = _TERRITORIES[self.name]
        z, y, x = (0.35 * a + 0.65 * b for a, b in zip(apex, end, strict=True))
        return z, y, self.side * x

    @property
    def radius_mm(self) -> float:
        """About half its width there."""
        apex, end, degrees, *_ = _TERRITORIES[self.name]
        length = 0.65 * float(np.linalg.norm(np.subtract(end, apex)))
        return length * float(np.tan(np.deg2rad(min(0.7 * degrees * self.opening, 45))))

    def share(self, inside: Inside) -> tuple[Box, Field]:
        """Return a box and how much of each voxel in it is of the territory."""
        apex, end, degrees, from_midline, below = _TERRITORIES[self.name]
        at = inside.at
        start, stop = (inside.locate((p[0], p[1], self.side * p[2])) for p in (apex, end))
        way = np.subtract(stop, start)
        length = float(np.linalg.norm(way))
        box, _ = inside.along((start, stop), 48.0 if degrees > 30 else 34.0)
        grids = (at.z[box[0]], at.y[:, box[1]], at.x[:, :, box[2]])
        rays = [grid - np.float32(s) for grid, s in zip(grids, start, strict=True)]
        along = sum(ray * np.float32(w / length) for ray, w in zip(rays, way, strict=True))
        r = np.sqrt(rays[0] ** 2 + rays[1] ** 2 + rays[2] ** 2)
        half = np.deg2rad(degrees * self.opening) * (1 + 0.18 * at.texture[box])
        angle = np.arccos(np.clip(along / np.maximum(r, 1), -1, 1))
        share = smoothstep((half - angle) * np.maximum(r, 4) / 4 + 0.5)
        share *= smoothstep((r - 3) / 4)
        if self.name == "lenticulostriate":
            share *= smoothstep((_DEEP_MM - r) / 4)
        share *= smoothstep((np.float32(self.side) * at.falx[box] - from_midline) / 2 + 0.5)
        share *= smoothstep(at.tentorium[box] * (-0.5 if below else 0.5))
        return box, np.asarray(share, np.float32)


@dataclass(frozen=True)
class OldInfarct(Mimic):
    """A territory hollowed, `share` of its tissue gone."""

    territory: Territory
    share: float
    drawn_in: float  # how much of its volume the ventricle takes

    @classmethod
    def draw(cls, rng: np.random.Generator) -> OldInfarct:
        """Return one."""
        return cls(Territory.draw(rng, smallest=0.3), float(rng.uniform(0.65, 0.95)), float(rng.uniform(0.05, 0.25)))

    def push(self, nodes: Nodes) -> Field:
        """Return how ventricle and sulci are drawn towards it."""
        return nodes.away(self.territory.middle, self.territory.radius_mm, -self.drawn_in)

    def lay_in_brain(self, inside: Inside) -> None:
        """Hollow it, least under the pia."""
        box, share = self.territory.share(inside)
        at = inside.at
        gone = share * np.float32(self.share) * np.clip(1 + 0.15 * at.texture[box], 0.5, 1)
        inside.blend(box, gone * at.brain[box], inside.tissue.csf + 3)


@dataclass(frozen=True)
class FreshInfarct(Mimic):
    """A territory that is as dark as `hu`, `share` of the way, swollen; `artery_hu` of its dense artery, or 0."""

    territory: Territory
    hu: float
    share: float
    swelling: float
    artery_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> FreshInfarct:
        """Return one."""
        territory = Territory.draw(rng, smallest=0.6)
        dense = rng.random() < 0.5
        artery = float(rng.uniform(50, 66))
        return cls(
            territory=territory,
            hu=float(rng.uniform(19, 27)),
            share=float(rng.uniform(0.4, 0.95)),
            swelling=float(rng.uniform(0.0, 0.12)),
            artery_hu=artery if dense and territory.name.startswith(("middle", "lenti")) else 0.0,
        )

    def push(self, nodes: Nodes) -> Field:
        """Return how the swelling presses sulci and ventricle."""
        return nodes.away(self.territory.middle, self.territory.radius_mm, self.swelling)

    def lay_in_brain(self, inside: Inside) -> None:
        """Darken it; swollen gyri close the sulci a little."""
        box, share = self.territory.share(inside)
        at = inside.at
        tissue = np.clip(at.brain[box] + np.float32(2 * self.swelling) * (1 - inside.ventricle[box]), 0, 1)
        inside.blend(box, share * np.float32(self.share) * tissue, np.float32(self.hu) + 0.6 * at.texture[box])

    def lay_over_dura(self, inside: Inside) -> None:
        """Draw the dense first part of the middle cerebral artery."""
        if self.artery_hu:
            side = self.territory.side
            course = [inside.locate((z, y, side * x)) for z, y, x in _FIRST_PART]
            box, distance = inside.along(tuple(course), 4)
            share = np.clip(2.3 - distance, 0, 1)
            inside.hu[box] += share * np.maximum(np.float32(self.artery_hu) - inside.hu[box], 0)
