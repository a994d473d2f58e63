# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood between skull and brain: epidural lenses and subdural crescents, along the vault, the falx and the tentorium.

An epidural hematoma strips the dura off the bone and is a lens that stays within sutures; a subdural one spreads over
a hemisphere as a crescent and stops at falx and tentorium (Gean, Imaging of Head Trauma, 1994). The brain is pressed
inwards by about the thickness of the collection, less with depth, up to the midline and over it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy, Box
from simulator.blood.clot import Clot, downwards, settled
from simulator.blood.form import Bleed, Form
from simulator.blood.growth import PUSHES_FROM_ML, Growth, size_for, trimmed
from simulator.blood.push import leaned, relaxed
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep
from simulator.warp import WARP_GRID_MM, at_warp_nodes

Field = NDArray[np.float32]

_CROSSING_RATE = 0.1  # of epidural collections: the suture itself is broken (Huisman & Tschirch, J Neuroradiol 2009)
_HELD_MM = 1.5  # dura holds to the bone this near to a suture
_BLUNT_MM = 15.0
_MIXED_RATE = 0.22  # of subdural collections


@dataclass(frozen=True)
class ExtraaxialPlan:
    """An extra-axial collection: blood lies where `wall` (mm from the wall it lies on) is less than a local thickness.

    `spot` is the squared distance from the middle of the collection along the wall, relative to its half length at
    size 1; `waves` lets the thickness vary and fades it out where no such collection goes. The three hold the voxels of
    `reached` only, in its order.
    """

    form: Form
    box: Box
    reached: NDArray[np.bool_] = field(repr=False)
    wall: Field = field(repr=False)
    spot: Field = field(repr=False)
    waves: Field = field(repr=False)
    density: Field = field(repr=False)
    outward: Field = field(repr=False)  # float32 [3, z, y, x] on the warp grid: towards the wall
    thickness_mm: float  # at size 1, in the middle
    lean: float  # midline shift, relative to 1 mm for 10 mL
    longest: float  # the relative length at which only the thickness goes on growing
    voxel_ml: float
    anatomy: Anatomy = field(repr=False)
    under_hu: float = 30.0

    def _thickness(self, size: float) -> Field:
        """Return the thickness (mm) at each voxel of `reached`."""
        # A small crescent is short rather than as thin as paper, a small lens has the shape of a large one; beyond the
        # longest only the thickness grows.
        length = min(size, self.longest)
        small_lens = self.form is Form.EPIDURAL and length < 1
        thickness = self.thickness_mm * (length if small_lens else length**0.6)
        thickness *= max(1.0, size / self.longest) ** 3
        profile = np.maximum(0, 1 - self.spot / np.float32(length**2))
        if self.form is not Form.EPIDURAL:
            profile = np.sqrt(profile)
        return np.asarray(np.float32(thickness) * profile * self.waves, np.float32)

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

    def grown(self, volume_ml: float) -> Growth:
        """Return the collection with about `volume_ml` of blood."""
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, 0.01, 4.0, steps=14)
        fraction = self._spread(self._fraction(size), 0)
        push = self._push(size, fraction) if volume_ml > PUSHES_FROM_ML else None
        return trimmed(Growth(self.box, fraction, self.density, None, push), self.box)

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
        shift = self.lean * 0.1 * volume_ml if self.form is not Form.TENTORIUM else 0.0
        return leaned(relaxed(push, given, free), self.anatomy, self.box, fraction, min(shift, 12), given)


def planned(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, *, waved: bool = True) -> ExtraaxialPlan:
    """Return an extra-axial collection of a form on its side of the head.

    Parameters
    ----------
    waved: whether its thickness varies by smooth waves.
    """
    atlas, form, side = anatomy.atlas, bleed.form, bleed.side
    z, y, x = atlas.mni()
    box = anatomy.cavity_box
    bz, by, bx = z[box[0]], y[:, box[1]], x[:, :, box[2]]
    depth = -atlas.cavity_distance[box]
    falx = anatomy.falx * np.float32(side)
    tentorium = atlas.tentorium_distance[box]
    shape = depth.shape

    if form in (Form.EPIDURAL, Form.CONVEXITY):
        wall = depth
        gradient = np.stack(np.gradient(ndimage.gaussian_filter(at_warp_nodes(np.asarray(atlas.cavity_distance)), 1)))
        epidural = form is Form.EPIDURAL
        cy = rng.uniform(-65, 55) if epidural else rng.uniform(-20, 20)
        cz = rng.uniform(-12, 50) if epidural else rng.uniform(15, 45)
        fracture = anatomy.mimics.fracture
        if epidural and fracture is not None and fracture.side == side:
            cz, cy, _ = fracture.place
        # The wall's point that lies at this height on this side.
        off = np.abs(depth) + 0.7 * np.abs(by - np.float32(cy)) + 0.7 * np.abs(bz - np.float32(cz))
        off = off + np.where(falx < 10, 99, 0)
        if epidural:
            off = off + np.where(anatomy.suture_distance < 9, 20, 0)
        pz, py, px = np.unravel_index(int(np.argmin(off)), shape)
        dz, dy, dx = bz - bz[pz], by - by[:, py], bx - bx[:, :, px]
        if epidural:
            half = rng.uniform(27, 36)
            thickness, longest = half * rng.uniform(0.42, 0.7), 1.7
            # Along the wall alone: counted with its depth, a lens would be flat where it should bulge.
            spot = np.maximum(dz**2 + dy**2 + dx**2 - np.maximum(depth, 0) ** 2, 0) / np.float32(half**2)
            waves = 1 + 0.06 * smooth_field(rng, shape, 14)
        else:
            half_y, half_z = rng.uniform(60, 85), rng.uniform(38, 55)
            thickness, longest = rng.uniform(5.5, 9.0), 1.2
            spot = dy**2 / np.float32(half_y**2) + dz**2 / np.float32(half_z**2) + 0 * dx
            waves = np.clip(1 + 0.28 * smooth_field(rng, shape, 18) + 0.08 * smooth_field(rng, shape, 7), 0.2, 2)
        allowed = smoothstep((falx - 3) / 6) * smoothstep((tentorium - 1) / 3) * smoothstep((bz + 38) / 8)
        if epidural and rng.random() > _CROSSING_RATE:
            allowed = allowed * _plate(anatomy.suture_distance, (pz, py, px), (spot < longest**2) & (depth < 25))
    elif form is Form.FALX:
        wall = falx
        gradient = np.stack(np.gradient(ndimage.gaussian_filter(at_warp_nodes(np.asarray(atlas.falx_distance)), 1)))
        gradient *= -side
        cy, cz = (
            (rng.uniform(25, 50), rng.uniform(5, 45))
            if rng.random() < 0.5
            else (rng.uniform(-75, -35), rng.uniform(20, 55))
        )
        half_y, half_z = rng.uniform(32, 50), rng.uniform(24, 36)
        thickness, longest = rng.uniform(3.5, 5.5), 1.15
        spot = (
            ((by - np.float32(cy)) / np.float32(half_y)) ** 2
            + ((bz - np.float32(cz)) / np.float32(half_z)) ** 2
            + 0 * bx
        )
        waves = np.clip(1 + 0.25 * smooth_field(rng, shape, 12), 0.3, 2)
        lowest = np.where(by > 20, -10.0, np.where(by < -40, 4.0, 34.0)).astype(np.float32)
        allowed = smoothstep((bz - lowest) / 6) * smoothstep((38 - depth) / 8) * smoothstep((tentorium - 2) / 4)
        allowed *= smoothstep((anatomy.warped_smooth(atlas.ventricle_distance) - 5) / 5)
    else:
        wall = tentorium
        gradient = -np.stack(
            np.gradient(ndimage.gaussian_filter(at_warp_nodes(np.asarray(atlas.tentorium_distance)), 1))
        )
        half = rng.uniform(26, 38)
        cx, cy = side * rng.uniform(22, 40), rng.uniform(-65, -45)
        thickness, longest = rng.uniform(3.0, 5.0), 1.15
        spot = ((by - np.float32(cy)) ** 2 + (bx - np.float32(cx)) ** 2) / np.float32(half**2) + 0 * bz
        waves = np.clip(1 + 0.2 * smooth_field(rng, shape, 12), 0.3, 2)
        incisura = smoothstep((np.abs(bx) - 16) / 8 + np.maximum(0, (-48 - by) / 8))
        allowed = incisura * smoothstep((-26 - by) / 8) * smoothstep((24 - bz) / 6) * smoothstep((falx - 1) / 3)
    gradient = gradient.astype(np.float32)
    gradient /= np.maximum(np.sqrt((gradient**2).sum(0)), 0.2 / WARP_GRID_MM)
    reached = (allowed > 0) & (depth > -0.5) & (wall > -0.5) & (wall < 60) & (spot < longest**2)

    near = reached & (wall < 6)
    density = _density(anatomy, bleed, rng, near)
    return ExtraaxialPlan(
        form=form,
        box=box,
        reached=reached,
        wall=wall[reached],
        spot=np.asarray(spot[reached], np.float32),
        waves=np.asarray((waves * allowed if waved else allowed)[reached], np.float32),
        density=np.asarray(density, np.float32),
        outward=gradient,
        thickness_mm=float(thickness),
        lean=float(rng.uniform(0.2, 1.2)),
        longest=longest,
        voxel_ml=anatomy.voxel_ml,
        anatomy=anatomy,
        under_hu=0.5 * (anatomy.tissue.grey + anatomy.tissue.csf),
    )


def _plate(from_suture: Field, start: tuple[np.intp, ...], near: NDArray[np.bool_]) -> Field:
    """Return how much of each voxel [Z, Y, X] lies under the bone of `start`, between its sutures."""
    half = (slice(None, None, 2),) * 3
    within = (near & (from_suture > _HELD_MM))[half]
    pieces, _ = ndimage.label(within)
    there = pieces[tuple(int(i) // 2 for i in start)]
    plate = pieces == there if there else within
    for axis, size in enumerate(from_suture.shape):
        plate = np.take(plate, np.minimum(np.arange(size) // 2, plate.shape[axis] - 1), axis)
    # The lens is blunt there, but not cut off.
    return np.asarray(plate * np.sqrt(np.clip((from_suture - _HELD_MM) / _BLUNT_MM, 0, 1)), np.float32)


def _density(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, near: NDArray[np.bool_]) -> Field:
    """Return the HU [Z, Y, X] of a collection about the places `near`: acute, mixed or subacute."""
    epidural = bleed.form is Form.EPIDURAL
    clot = Clot.drawn(anatomy, bleed, rng, subacute_rate=0.02 if epidural else 0.15)
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
        return settled(density, down, level, drop) - np.float32(0.2 * drop)
    # Fresh blood runs in bands and pockets between membranes.
    fresh = smoothstep(smooth_field(rng, near.shape, float(rng.uniform(6, 14))) * 1.2 + np.float32(rng.uniform(0.2, 1)))
    return np.asarray(old + fresh * (density - old), np.float32)
