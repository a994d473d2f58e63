# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Spaces filled with CSF where brain should be: arachnoid cysts and a large cisterna magna.

Arachnoid cysts lie in 1.4 % of heads, a third each in the middle fossa and behind the cerebellum, a seventh on the
convexity (Al-Holou et al., J Neurosurg 2013). What lies behind the cerebellum is drawn as a mega cisterna magna as
well, at the same rate, so that half of the cysts proper are in the middle fossa. Both are as dark as CSF and push the
brain aside.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Inside, Mimic, Nodes, Point

# MNI z, y, |x|, and how likely.
_PLACES: tuple[tuple[Point, float], ...] = (
    ((-22.0, 6.0, 46.0), 0.5),  # middle fossa
    ((-36.0, -26.0, 26.0), 0.15),  # cerebellopontine angle
    ((50.0, 20.0, 44.0), 0.2),  # convexity
    ((-34.0, -88.0, 12.0), 0.15),  # behind the cerebellum
)


@dataclass(frozen=True)
class ArachnoidCyst(Mimic):
    """A ball of CSF at an MNI point (z, y, x)."""

    centre: Point
    radius_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> ArachnoidCyst:
        """Return one."""
        z, y, x = _PLACES[int(rng.choice(len(_PLACES), p=[p for _, p in _PLACES]))][0]
        return cls((z, y, float(rng.choice([-1, 1])) * x), float(rng.uniform(8, 20)))

    def push(self, nodes: Nodes) -> np.ndarray:
        """Return how the brain gives way."""
        return nodes.away(self.centre, self.radius_mm, 0.7)

    def lay_in_brain(self, inside: Inside) -> None:
        """Fill it with CSF."""
        box, distance = inside.along((self.centre,), 1.4 * self.radius_mm + 3)
        at = inside.at
        rim = np.float32(self.radius_mm) * (1 + 0.07 * at.texture[box]) - distance
        sheet = np.abs(at.tentorium[box]) * np.sign(at.tentorium[box]) * np.sign(self.centre[0] + 27)
        share = smoothstep(rim / 1.5 + 0.5) * smoothstep((sheet + 1) / 2)
        inside.blend(box, share, inside.tissue.csf)


@dataclass(frozen=True)
class MegaCisternaMagna(Mimic):
    """CSF behind and below the cerebellum, as far as `deep_mm` from the skull."""

    deep_mm: float
    wide_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> MegaCisternaMagna:
        """Return one."""
        return cls(float(rng.uniform(10, 24)), float(rng.uniform(18, 40)))

    def lay_in_brain(self, inside: Inside) -> None:
        """Fill it with CSF."""
        at = inside.at
        box, _ = inside.along(((-66.0, -84.0, 0.0), (-40.0, -96.0, 0.0)), 48)
        across = (at.x[:, :, box[2]] / np.float32(self.wide_mm)) ** 2 + ((at.z[box[0]] + 54) / 22) ** 2
        # Deepest in the midline behind the vermis; the hemispheres round it off.
        room = np.float32(self.deep_mm) * np.sqrt(np.maximum(1 - across, 0)) * (1 + 0.08 * at.texture[box])
        share = smoothstep((room - at.depth[box]) / 2 + 0.5) * smoothstep((-8 - at.tentorium[box]) / 3) * (room > 1)
        share *= smoothstep((-46 - at.y[:, box[1]]) / 10)
        inside.blend(box, share, inside.tissue.csf)
