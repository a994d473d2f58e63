# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Beam hardening: bright brain under the skull, a dark band between the petrous bones.

What water correction leaves of cupping by bone (Brooks & Di Chiro, Phys Med Biol 1976; Joseph & Spital, J Comput Assist
Tomogr 1978): a few HU at the inner table, -2 to -15 between the petrous ridges (the "Hounsfield bar").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import Landmarks
from simulator.mimics.mimic import Mimic

Field = NDArray[np.float32]


@dataclass(frozen=True)
class PeripheralHardening(Mimic):
    """`hu` more at the inner table, less by e every `reach_mm`."""

    hu: float
    reach_mm: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PeripheralHardening:
        """Return one."""
        return cls(float(rng.uniform(1, 5)), float(rng.uniform(4, 8)))

    def hardening(self, at: Landmarks) -> Field:
        """Return what it adds, [Z, Y, X]."""
        return np.float32(self.hu) * np.exp(-np.maximum(at.depth, 0) / np.float32(self.reach_mm))


@dataclass(frozen=True)
class PetrousHardening(Mimic):
    """`hu` less in the middle of the band between the petrous bones."""

    hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> PetrousHardening:
        """Return one."""
        return cls(float(rng.uniform(2, 14)))

    def hardening(self, at: Landmarks) -> Field:
        """Return what it adds, [Z, Y, X]."""
        across = np.exp(-0.5 * (at.x / 26) ** 4)
        band = np.exp(-0.5 * ((at.z + 36) / 8) ** 2) * np.exp(-0.5 * ((at.y + 28) / 7) ** 2) * across
        return np.asarray(-self.hu * band, np.float32)
