# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Iodine: vessels, plexus and dura after intravenous contrast, and tissue stained after a thrombectomy.

Arteries and sinuses reach 100-250 HU some minutes after contrast for another study. Staining of an ischaemic territory
measures 40-140 HU on the CT after a thrombectomy and no density tells it from blood for sure (Dekeyzer et al., J
NeuroIntervent Surg 2017; Payabvash et al., Neurocrit Care 2014).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from training.simulator.landmarks import smoothstep
from training.simulator.mimics.mimic import Inside, Mimic, Point

if TYPE_CHECKING:
    from training.simulator.anatomy import Tissue


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
            course = [
                inside.seen((z, y, side * x)) for z, y, x in ((2, -36, 24), (10, -41, 24), (20, -26, 12), (22, -8, 6))
            ]
            box, distance = inside.along(tuple(course), 4)
            share = np.clip(2.6 - distance, 0, 1) * inside.ventricle[box]
            inside.blend(box, 0.6 * share, self.hu)
        straight: tuple[Point, ...] = ((6.0, -42.0, 0.0), (-4.0, -68.0, 0.0), (-18.0, -96.0, 0.0))
        box, distance = inside.along(tuple(inside.seen(p) for p in straight), 4)
        inside.blend(box, np.clip(2.4 - distance, 0, 1), self.hu)


@dataclass(frozen=True)
class ContrastStaining(Mimic):
    """Stained basal ganglia and cortex of one side: `hu` added, in patches."""

    side: float
    hu: float
    radius_mm: float
    cortex: bool

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> ContrastStaining:
        """Return one."""
        return cls(
            float(rng.choice([-1, 1])), float(rng.uniform(12, 90)), float(rng.uniform(5, 11)), bool(rng.random() < 0.4)
        )

    def lay_in_brain(self, inside: Inside) -> None:
        """Stain putamen, caudate head and, at times, the insula."""
        at = inside.at
        spots: list[tuple[Point, float]] = [((3.0, 3.0, 26.0), 1.0), ((8.0, 14.0, 13.0), 0.6), ((2.0, -8.0, 29.0), 0.7)]
        if self.cortex:
            spots += [((2.0, 6.0, 40.0), 0.7), ((14.0, -4.0, 46.0), 0.6)]
        for (z, y, x), size in spots:
            radius = self.radius_mm * size
            box, distance = inside.along((inside.seen((z, y, self.side * x)),), 1.6 * radius + 4)
            patches = np.clip(0.8 + 0.45 * at.texture[box], 0, 1.4)
            share = smoothstep((radius * (1 + 0.25 * at.texture[box]) - distance) / 4 + 0.5)
            inside.hu[box] += np.float32(self.hu) * share * patches * at.brain[box]
