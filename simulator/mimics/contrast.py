# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Iodine: vessels, plexus and dura after intravenous contrast, and tissue stained after a thrombectomy.

Arteries and sinuses reach 100-250 HU some minutes after contrast for another study. More than half of the CTs after a
thrombectomy show staining of the ischaemic territory. Below 50 HU it was never blood, above that density does not tell
(Payabvash et al., Neuroradiology 2014; Dekeyzer et al., J NeuroIntervent Surg 2017); 40-140 are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Inside, Mimic, Point
from simulator.tissue import Tissue

# MNI z, y, |x| along what stains.
_PUTAMEN: tuple[Point, ...] = ((4.0, 12.0, 22.0), (3.0, 2.0, 26.0), (2.0, -10.0, 30.0))
_CAUDATE: tuple[Point, ...] = ((2.0, 16.0, 11.0), (10.0, 14.0, 13.0), (18.0, 4.0, 15.0))
_INSULA: tuple[Point, ...] = ((0.0, 14.0, 36.0), (4.0, 0.0, 40.0), (6.0, -14.0, 40.0))
_PLEXUS: tuple[Point, ...] = ((2.0, -36.0, 24.0), (10.0, -41.0, 24.0), (20.0, -26.0, 12.0), (22.0, -8.0, 6.0))
_STRAIGHT_SINUS: tuple[Point, ...] = ((6.0, -42.0, 0.0), (-4.0, -68.0, 0.0), (-18.0, -96.0, 0.0))


@dataclass(frozen=True)
class ContrastInVessels(Mimic):
    """Blood of `hu`, dura and plexus brighter in proportion."""

    hu: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> ContrastInVessels:
        """Return one."""
        return cls(float(rng.uniform(90, 230)))

    def thickened(self, tissue: Tissue) -> Tissue:
        """Return the tissues with contrast in them."""
        rise = self.hu - tissue.venous
        return replace(
            tissue,
            venous=self.hu,
            dura=tissue.dura + 0.25 * rise,
            grey=tissue.grey + 0.03 * rise,
            white=tissue.white + 0.012 * rise,
        )

    def lay_over_dura(self, inside: Inside) -> None:
        """Let the choroid plexus in both trigones and bodies, and the straight sinus, enhance."""
        for side in (-1.0, 1.0):
            course = [inside.seen((z, y, side * x)) for z, y, x in _PLEXUS]
            box, distance = inside.along(tuple(course), 4)
            uneven = np.clip(0.4 + 0.25 * inside.at.texture[box], 0, 1)
            share = np.clip(2.2 - distance, 0, 1) * inside.ventricle[box]
            inside.blend(box, uneven * share, self.hu)
        box, distance = inside.along(tuple(inside.seen(p) for p in _STRAIGHT_SINUS), 4)
        inside.blend(box, np.clip(2.4 - distance, 0, 1), self.hu)


@dataclass(frozen=True)
class ContrastStaining(Mimic):
    """Stained basal ganglia of one side, at times its insula too: `hu` more, even but for `patches` (relative)."""

    side: float
    hu: float
    size: float
    patches: float
    cortex: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> ContrastStaining:
        """Return one."""
        return cls(
            side=float(rng.choice([-1, 1])),
            hu=float(rng.uniform(8, 60)),
            size=float(rng.uniform(0.7, 1.25)),
            patches=float(rng.uniform(0, 0.3)),
            cortex=bool(rng.random() < 0.4),
        )

    def lay_in_brain(self, inside: Inside) -> None:
        """Stain putamen, caudate head and insula."""
        at = inside.at
        lines = [(_PUTAMEN, 6.5, 1.0), (_CAUDATE, 4.5, 0.8)]
        if self.cortex:
            lines.append((_INSULA, 4.5, 0.6))
        share = np.zeros(inside.hu.shape, np.float32)
        for nodes, radius, much in lines:
            course = tuple(inside.seen((z, y, self.side * x)) for z, y, x in nodes)
            box, distance = inside.along(course, 2 * radius + 3)
            rim = np.float32(radius * self.size) * (1 + 0.15 * at.texture[box]) - distance
            share[box] = np.maximum(share[box], np.float32(much) * smoothstep(rim / 4 + 0.5))
        inside.hu[...] += (
            np.float32(self.hu) * share * np.clip(1 + np.float32(self.patches) * at.texture, 0.3, 1.6) * at.brain
        )
