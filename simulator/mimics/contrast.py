# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Iodine: vessels, plexus and dura after intravenous contrast, and tissue stained after a thrombectomy.

Arteries and sinuses reach 100-250 HU some minutes after contrast for another study. More than half of the CTs after a
thrombectomy show staining of the ischaemic territory: basal ganglia, insula and cortex, at times sulci. Below 50 HU it
was never blood, above that density does not tell (Payabvash et al., Neuroradiology 2014; Dekeyzer et al., J
NeuroIntervent Surg 2017); above 90 most of it has bled a day later (the metallic hyperdensity sign: PMC7048513), so
that what is drawn mostly lies between 45 and 95. One head in twenty has it, far more than clinics see, because networks
that met it less often took every one for blood.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.infarcts import Territory
from simulator.mimics.mimic import Inside, Mimic, Point
from simulator.tissue import Tissue

# MNI z, y, |x| along what stains.
_PUTAMEN: tuple[Point, ...] = ((4.0, 12.0, 22.0), (3.0, 2.0, 26.0), (2.0, -10.0, 30.0))
_CAUDATE: tuple[Point, ...] = ((2.0, 16.0, 11.0), (10.0, 14.0, 13.0), (18.0, 4.0, 15.0))
_INSULA: tuple[Point, ...] = ((0.0, 14.0, 36.0), (4.0, 0.0, 40.0), (6.0, -14.0, 40.0))
_STAINED = (
    "middle cerebral",
    "middle cerebral, upper",
    "middle cerebral, lower",
    "anterior cerebral",
    "posterior cerebral",
)
_STAINED_RATES = (0.3, 0.3, 0.25, 0.07, 0.08)
_IN_CORTEX, _IN_WHITE = 0.6, 0.15  # how much denser these become, of what deep grey matter does
_PLEXUS: tuple[Point, ...] = ((2.0, -36.0, 24.0), (10.0, -41.0, 24.0), (20.0, -26.0, 12.0), (22.0, -8.0, 6.0))
_STRAIGHT_SINUS: tuple[Point, ...] = ((6.0, -42.0, 0.0), (-4.0, -68.0, 0.0), (-18.0, -96.0, 0.0))


@dataclass(frozen=True)
class ContrastInVessels(Mimic):
    """Blood of `hu`, dura and plexus brighter in proportion."""

    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ContrastInVessels:
        """Return one."""
        return cls(float(rng.uniform(90, 230)))

    def thicken(self, tissue: Tissue) -> Tissue:
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
            course = [inside.locate((z, y, side * x)) for z, y, x in _PLEXUS]
            box, distance = inside.along(tuple(course), 4)
            uneven = np.clip(0.4 + 0.25 * inside.at.texture[box], 0, 1)
            share = np.clip(2.2 - distance, 0, 1) * inside.ventricle[box]
            inside.blend(box, uneven * share, self.hu)
        box, distance = inside.along(tuple(inside.locate(p) for p in _STRAIGHT_SINUS), 4)
        inside.blend(box, np.clip(2.4 - distance, 0, 1), self.hu)


@dataclass(frozen=True)
class ContrastStaining(Mimic):
    """Tissue that agent has leaked into: deep grey matter of one side, cortex of a territory, its sulci, or all three.

    It has the shape of what is stained, soft edges, and neither oedema nor room of its own: that tells it from blood.

    Attributes
    ----------
    hu: how much denser deep grey matter becomes; cortex gains less.
    size: of the deep part, relative; 0 where putamen and caudate nucleus are not stained.
    patches: how uneven it is, relative.
    cortex: the territory whose cortex is stained, or None.
    sulci_hu: how much denser CSF in that territory becomes.
    """

    side: float
    hu: float
    size: float
    patches: float
    cortex: Territory | None
    sulci_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ContrastStaining:
        """Return one: deep in three of four, cortical in half, in the sulci in one of eight."""
        side = float(rng.choice([-1, 1]))
        hu, size = 8 + 52 * float(rng.beta(1.4, 2.2)), float(rng.uniform(0.6, 1.3))
        patches, place = float(rng.uniform(0, 0.4)), float(rng.random())
        name, opening = str(rng.choice(_STAINED, p=_STAINED_RATES)), float(rng.uniform(0.3, 0.9))
        leaks, sulci_hu = rng.random() < 0.25, float(rng.uniform(8, 45))
        cortex = Territory(name, side, opening) if place > 0.5 else None
        return cls(side, hu, size if place < 0.75 else 0.0, patches, cortex, sulci_hu if leaks and cortex else 0.0)

    def lay_in_brain(self, inside: Inside) -> None:
        """Stain putamen, caudate head and insula, and the cortex of the territory."""
        at = inside.at
        share = np.zeros(inside.hu.shape, np.float32)
        for nodes, radius, much in ((_PUTAMEN, 6.5, 1.0), (_CAUDATE, 4.5, 0.8), (_INSULA, 3.5, 0.6)):
            if not self.size or (nodes is _INSULA and self.cortex is None):
                continue
            course = tuple(inside.locate((z, y, self.side * x)) for z, y, x in nodes)
            box, distance = inside.along(course, 2 * radius + 3)
            rim = np.float32(radius * self.size) * (1 + 0.15 * at.texture[box]) - distance
            share[box] = np.maximum(share[box], np.float32(much) * smoothstep(rim / 4 + 0.5) * at.brain[box])
        if self.cortex is not None:
            box, part = self.cortex.share(inside)
            takes_up = _IN_CORTEX * np.clip(at.brain[box] - at.white[box], 0, 1) + _IN_WHITE * at.white[box]
            share[box] = np.maximum(share[box], part * takes_up)
            fluid = np.clip(1 - at.brain[box], 0, 1) * (1 - inside.ventricle[box])
            inside.hu[box] += np.float32(self.sulci_hu) * part * fluid
        uneven = np.clip(1 + np.float32(self.patches) * at.texture, 0.3, 1.6)
        inside.hu[...] += np.float32(self.hu) * share * uneven
