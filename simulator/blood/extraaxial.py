# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood between skull and brain: epidural lenses and subdural crescents, along the vault, the falx and the tentorium.

An epidural hematoma strips the dura off the bone and is a lens that stays within sutures; a subdural one spreads over
a hemisphere as a crescent and stops at falx and tentorium (Gean, Imaging of Head Trauma, 1994). The brain is pressed
inwards by about the thickness of the collection, less with depth, up to the midline and over it. The midline moves by
0.8 mm for each 10 mL of a chronic subdural (PMID 35486122) and by about the thickness of an acute one that is operated
on in the young (thickness to shift 0.69 to 1.8, mean 0.93; Moussa et al., Neurosurg Rev 2018), less where wide sulci
give way first.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy, Box
from simulator.blood.clot import Clot, downwards, settle
from simulator.blood.collection import COLLECTIONS, Collection, Room
from simulator.blood.form import Bleed, Form
from simulator.blood.growth import PUSHES_FROM_ML, Growth, size_for, trim
from simulator.blood.push import lean_away, relax
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep
from simulator.warp import WARP_GRID_MM, at_warp_nodes

Field = NDArray[np.float32]

_MIXED_RATE = 0.22  # of subdural collections


@dataclass(frozen=True)
class ExtraaxialPlan:
    """An extra-axial collection: blood lies where `wall` (mm from the wall it lies on) is less than a local thickness.

    `spot` is the squared distance from the middle of the collection along the wall, relative to its half length at
    size 1; `waves` lets the thickness vary and fades it out where no such collection goes. The three hold the voxels of
    `reached` only, in its order.
    """

    collection: Collection
    box: Box
    reached: NDArray[np.bool_] = field(repr=False)
    wall: Field = field(repr=False)
    spot: Field = field(repr=False)
    waves: Field = field(repr=False)
    density: Field = field(repr=False)
    outward: Field = field(repr=False)  # float32 [3, z, y, x] on the warp grid: towards the wall
    lean: float  # midline shift, relative to 1 mm for 10 mL
    voxel_ml: float
    anatomy: Anatomy = field(repr=False)
    under_hu: float = 30.0

    def _thickness(self, size: float) -> Field:
        """Return the thickness (mm) at each voxel of `reached`."""
        length = min(size, self.collection.longest)
        profile = self.collection.profile(self.spot / np.float32(length**2))
        return np.asarray(np.float32(self.collection.middle_mm(size)) * profile * self.waves, np.float32)

    def _fraction(self, size: float) -> Field:
        """Return how much of each voxel of `reached` is blood."""
        thickness = self._thickness(size)
        filled = np.clip(0.5 + (thickness - self.wall), 0, 1) * np.clip(self.wall + 0.5, 0, 1)
        return np.asarray(np.where(thickness > 0.3, filled, 0), np.float32)

    def _spread(self, values: Field, beyond: float) -> Field:
        """Return values of the voxels of `reached` on the whole box."""
        out = np.full(self.reached.shape, beyond, np.float32)
        out[self.reached] = values
        return out

    def grow(self, volume_ml: float) -> Growth:
        """Return the collection with about `volume_ml` of blood."""
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, 0.01, 4.0, steps=14)
        fraction = self._spread(self._fraction(size), 0)
        push = self._push(size, fraction) if volume_ml > PUSHES_FROM_ML else None
        return trim(Growth(self.box, fraction, self.density, None, push), self.box)

    def _push(self, size: float, fraction: Field) -> Field:
        """Return the mass effect: brain starts where the blood ends, and gives way to the other side of the head."""
        atlas = self.anatomy.atlas
        thickness = np.zeros(atlas.shape, np.float32)
        wall = np.full(atlas.shape, 99.0, np.float32)
        thickness[self.box] = self._spread(self._thickness(size), 0)
        wall[self.box] = self._spread(self.wall, 99)
        thick = ndimage.gaussian_filter(at_warp_nodes(thickness), 0.7)
        deep = at_warp_nodes(wall)
        push = self.outward * np.minimum(thick, np.maximum(deep, 0))
        free = at_warp_nodes(np.asarray(atlas.cavity_distance)) < 0
        given = (deep < thick + WARP_GRID_MM) & (thick > 0.5)
        volume_ml = float(fraction.sum()) * self.voxel_ml
        shift = self.lean * 0.1 * volume_ml if self.collection.leans else 0.0
        return lean_away(relax(push, given, free), self.anatomy, self.box, fraction, min(shift, 12), given)


def plan_collection(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, *, waved: bool = True) -> ExtraaxialPlan:
    """Return an extra-axial collection of a form on its side of the head.

    Parameters
    ----------
    waved: whether its thickness varies by smooth waves.
    """
    room = Room(anatomy, bleed.side)
    collection = COLLECTIONS[bleed.form].draw(room, rng)
    wall, spot, allowed = collection.wall(room), collection.spot(room), collection.extent(room)
    waves = collection.waves(room, rng)
    outward = collection.outward(room).astype(np.float32)
    outward /= np.maximum(np.sqrt((outward**2).sum(0)), 0.2 / WARP_GRID_MM)
    reached = (allowed > 0) & (room.depth > -0.5) & (wall > -0.5) & (wall < 60) & (spot < collection.longest**2)
    return ExtraaxialPlan(
        collection=collection,
        box=anatomy.cavity_box,
        reached=reached,
        wall=wall[reached],
        spot=np.asarray(spot[reached], np.float32),
        waves=np.asarray((waves * allowed if waved else allowed)[reached], np.float32),
        density=np.asarray(_density(anatomy, bleed, rng, reached & (wall < 6)), np.float32),
        outward=outward,
        lean=float(rng.uniform(0.7, 2.0)) * (1 - 0.4 * float(np.clip(anatomy.build.atrophy, 0, 1))),
        voxel_ml=anatomy.voxel_ml,
        anatomy=anatomy,
        under_hu=0.5 * (anatomy.tissue.grey + anatomy.tissue.csf),
    )


def _density(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, near: NDArray[np.bool_]) -> Field:
    """Return the HU [Z, Y, X] of a collection about the places `near`: acute, mixed or subacute."""
    epidural = bleed.form is Form.EPIDURAL
    clot = Clot.draw(anatomy, bleed, rng, subacute_rate=0.02 if epidural else 0.15)
    density = clot.density(rng, near.shape, 8)
    if epidural or bleed.clear or rng.random() > _MIXED_RATE or not near.any():
        return density
    old = np.float32(rng.uniform(8, 26)) + smooth_field(rng, near.shape, 10)
    if rng.random() < 0.5:
        # Fresh blood settles in an old collection of one who lies on the back.
        down = downwards(anatomy, anatomy.cavity_box)
        low, high = np.percentile(down[near], [25, 80])
        level = float(rng.uniform(low, high))
        drop = float(np.median(density - old))
        return settle(density, down, level, drop) - np.float32(0.2 * drop)
    # Fresh blood runs in bands and pockets between membranes.
    fresh = smoothstep(smooth_field(rng, near.shape, float(rng.uniform(6, 14))) * 1.2 + np.float32(rng.uniform(0.2, 1)))
    return np.asarray(old + fresh * (density - old), np.float32)
