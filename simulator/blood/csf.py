# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A bleed into CSF, around the brain or in the ventricles: blood takes up room there in an order, as far as it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Box
from simulator.blood.growth import Growth, size_for, trim
from simulator.landmarks import smoothstep

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Filling:
    """How blood fills the room.

    Attributes
    ----------
    edge: how full a voxel is, 0 to 1, by how far beyond its middle the edge of the blood is, relative to its width.
    low, high: the least and most way (mm) that is searched for a volume, in `steps` halvings.
    """

    edge: Callable[[Field], Field]
    low: float
    high: float
    steps: int


def _ramp(beyond: Field) -> Field:
    return np.clip(beyond, 0, 1)


RUNNING: Final = Filling(smoothstep, -30.0, 220.0, 18)
"""Blood that runs through cisterns and sulci, thinner towards its end."""
POOLING: Final = Filling(_ramp, -10.0, 150.0, 14)
"""Blood that fills ventricles up to a level."""


@dataclass(frozen=True)
class CsfPlan:
    """A bleed into CSF: `room` is what it can fill, `way` (mm) how far blood has to run or rise to get there.

    Both hold the voxels of `reached` only, in its order.
    """

    filling: Filling
    box: Box
    reached: NDArray[np.bool_] = field(repr=False)
    room: Field = field(repr=False)
    way: Field = field(repr=False)
    density: Field = field(repr=False)
    fading_mm: float
    voxel_ml: float
    under_hu: float

    def _fraction(self, size: float) -> Field:
        beyond = (np.float32(size) - self.way) / np.float32(self.fading_mm) + 0.5
        return np.asarray(self.room * self.filling.edge(beyond), np.float32)

    def grow(self, volume_ml: float) -> Growth:
        """Return the bleed with about `volume_ml` of blood, or all the room there is."""
        low, high, steps = self.filling.low, self.filling.high, self.filling.steps
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, low, high, steps)
        fraction = np.zeros(self.reached.shape, np.float32)
        fraction[self.reached] = self._fraction(size)
        return trim(Growth(self.box, fraction, self.density), self.box)
