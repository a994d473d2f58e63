# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood in the CSF spaces around the brain: cisterns and Sylvian fissures, or the sulci of a region.

Aneurysmal bleeds fill the basal cisterns and run into the fissures, traumatic and convexity ones fill some sulci (van
Gijn & Rinkel, Brain 2001; Kumar et al., Neurology 2010). It takes the shape of the CSF there; the density varies with
how much CSF thins it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.simulator.anatomy import Anatomy, Box
from training.simulator.blood.growth import Growth, size_for, trimmed
from training.simulator.fields import smooth_field
from training.simulator.landmarks import smoothstep

Field = NDArray[np.float32]

# MNI z, y, |x| (mm) of where aneurysmal blood starts and runs to, and how far each is from the start.
_CISTERNS = (
    (-18, 2, 0, 0.0),
    (-14, -10, 8, 4.0),
    (-16, 6, 30, 6.0),
    (-2, 6, 42, 16.0),
    (0, 34, 0, 14.0),
    (-30, -16, 0, 8.0),
)


@dataclass(frozen=True)
class SubarachnoidPlan:
    """A subarachnoid bleed: `room` is the CSF it can fill, `way` how far (mm) blood has to run to get there.

    Both hold the voxels of `reached` only, in its order.
    """

    box: Box
    reached: NDArray[np.bool_] = field(repr=False)
    room: Field = field(repr=False)
    way: Field = field(repr=False)
    density: Field = field(repr=False)
    fading_mm: float
    voxel_ml: float
    under_hu: float = 8.0

    def _fraction(self, size: float) -> Field:
        return self.room * smoothstep((np.float32(size) - self.way) / np.float32(self.fading_mm) + 0.5)

    def grown(self, volume_ml: float) -> Growth:
        """Return the bleed with about `volume_ml` of blood, or all the room there is."""
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, -30.0, 220.0)
        fraction = np.zeros(self.reached.shape, np.float32)
        fraction[self.reached] = self._fraction(size)
        return trimmed(Growth(self.box, fraction, self.density))


def planned(anatomy: Anatomy, volume_ml: float, rng: np.random.Generator) -> SubarachnoidPlan:
    """Return a subarachnoid bleed; large ones come from the cisterns."""
    atlas, box = anatomy.atlas, anatomy.cavity_box
    z, y, x = atlas.mni()
    z, y, x = z[box[0]], y[:, box[1]], x[:, :, box[2]]
    grey, white, ventricle = anatomy.fractions
    depth = -atlas.cavity_distance[box]
    shape = depth.shape
    cavity = np.clip(depth + 0.5, 0, 1)
    room = np.clip((cavity - grey - white - 3 * ventricle - anatomy.venous) * 1.35, 0, 1)
    room *= smoothstep((anatomy.warped_smooth(atlas.ventricle_distance) - 1) / 2)
    room *= smoothstep((z + 58) / 6)

    if rng.random() < (0.45 if volume_ml < 15 else 0.65):
        side = rng.choice([-1.0, 1.0])
        way = np.full(shape, 999.0, np.float32)
        for cz, cy, cx, start in _CISTERNS:
            for s in (-1.0, 1.0):
                extra = start + (0 if s == side else float(rng.uniform(0, 12)) * (cx > 0))
                distance = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - s * cx) ** 2)
                way = np.minimum(way, distance + np.float32(extra))
    else:
        side = 1.0 if rng.random() < 0.5 else -1.0
        surface = (np.abs(depth - 6) < 3) & (z > 0) & (np.sign(x) == side) & (atlas.tentorium_distance[box] > 5)
        surface &= room > 0.3
        candidates = np.argwhere(surface)
        pz, py, px = candidates[rng.integers(len(candidates))]
        way = np.sqrt((z - z[pz]) ** 2 + (y - y[:, py]) ** 2 + (x - x[:, :, px]) ** 2)
    way = way + np.float32(rng.uniform(4, 9)) * smooth_field(rng, shape, 9)
    reached = room > 0.02
    base = rng.uniform(50, 74)
    density = np.float32(base) + np.float32(rng.uniform(2, 6)) * smooth_field(rng, shape, 10)
    return SubarachnoidPlan(
        box=box,
        reached=reached,
        room=np.asarray(room[reached], np.float32),
        way=np.asarray(way[reached], np.float32),
        density=np.asarray(density, np.float32),
        fading_mm=float(rng.uniform(3, 14)),
        voxel_ml=anatomy.voxel_ml,
    )
