# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood in the CSF spaces around the brain: cisterns and fissures, around the midbrain, or the sulci of a region.

Aneurysmal bleeds fill the basal cisterns and run into the fissures, perimesencephalic ones stay about the midbrain and
pons, traumatic and convexity ones fill some sulci or a single one (van Gijn & Rinkel, Brain 2001; Kumar et al.,
Neurology 2010). Aneurysmal blood is thick in the cisterns about the ruptured side and thinner the further it runs: the
suprasellar, ambient and quadrigeminal cisterns, the Sylvian fissures and the frontal interhemispheric one (the places
that Hijdra et al., Stroke 1990, grade). It takes the shape of the CSF there; CSF thins it, so that it is often no
brighter than grey matter. The film between brain and inner table holds none: there it would be taken for subdural.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Anatomy
from simulator.blood.clot import Clot
from simulator.blood.csf import RUNNING, CsfPlan
from simulator.blood.form import Bleed, Form
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep

Field = NDArray[np.float32]

# MNI z, y, |x| (mm) of where blood starts and runs to, and how far each is from the start.
_CISTERNS: Final = (
    (-18, 2, 0, 0.0),
    (-14, -10, 8, 4.0),
    (-16, 6, 30, 6.0),
    (-2, 6, 42, 14.0),
    (6, -10, 44, 26.0),
    (0, 34, 0, 12.0),
    (16, 44, 0, 26.0),
    (-12, -28, 16, 10.0),
    (-6, -38, 6, 20.0),
    (-30, -16, 0, 8.0),
)
_MIDBRAIN: Final = ((-18, -14, 0, 0.0), (-32, -12, 0, 2.0), (-12, -28, 16, 6.0), (-8, -36, 8, 10.0))
_FAINT_RATE = 0.3
ONE_SULCUS_BELOW_ML = 3.0
_FILM_MM = (1.0, 2.5)  # CSF this near to the inner table holds no blood, and all of what lies deeper may
_HIGHEST_MM = 52.0  # MNI z of the highest sulcus that blood starts from
_THINNED_OVER_MM = 45.0  # way on which blood is thinned as far as it is
_OTHER_SIDE_MM = (0.0, 30.0)  # how much later blood comes to the other side: as good as even, or hardly at all


def free_csf(anatomy: Anatomy) -> Field:
    """Return how much of each voxel of the cavity box is CSF outside the ventricles, [Z, Y, X]."""
    atlas, box = anatomy.atlas, anatomy.cavity_box
    grey, white, ventricle = anatomy.fractions
    room = np.clip((anatomy.cavity - grey - white - 3 * ventricle - anatomy.venous) * 1.35, 0, 1)
    room *= smoothstep((anatomy.warp_smooth(atlas.ventricle_distance) - 1) / 2)
    room *= smoothstep((atlas.mni()[0][box[0]] + 58) / 6)
    room *= smoothstep((-atlas.cavity_distance[box] - _FILM_MM[0]) / (_FILM_MM[1] - _FILM_MM[0]))
    return np.asarray(room, np.float32)


Way = Callable[[Anatomy, Field, Bleed, np.random.Generator], Field]
"""What gives how far (about mm) blood has to run to each voxel [Z, Y, X] of the cavity box, given the CSF there."""


def plan_subarachnoid(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, way_of: Way | None = None) -> CsfPlan:
    """Return a subarachnoid bleed of a form.

    Parameters
    ----------
    way_of: how blood runs; from a few sources outwards by default.
    """
    box, room = anatomy.cavity_box, free_csf(anatomy)
    shape = room.shape
    small = bleed.volume_ml < ONE_SULCUS_BELOW_ML
    way = (way_of or run_outwards)(anatomy, room, bleed, rng)
    reached = room > 0.02
    clot = Clot.draw(anatomy, bleed, rng, subacute_rate=0.0)
    # Much blood is seldom faint.
    faint = rng.random() < _FAINT_RATE * (1 if bleed.volume_ml < 5 else 0.3)
    pure = float(rng.uniform(0.5, 0.72) if faint else rng.uniform(0.78, 1.0))
    if bleed.clear:
        pure = 1.0
    csf = np.float32(anatomy.tissue.csf)
    # Over a whole convexity it would be as dense as the brain about it: sulcal blood was shed where it lies.
    thinned = 0.0 if bleed.clear or bleed.form is Form.SULCAL else float(rng.uniform(0.05, 0.45))
    purity = np.float32(pure) * (1 - np.float32(thinned) * np.clip(way / np.float32(_THINNED_OVER_MM), 0, 1))
    density = csf + purity * (clot.density(rng, shape, 10) - csf)
    density += np.float32(rng.uniform(1, 5)) * smooth_field(rng, shape, 12)
    return CsfPlan(
        filling=RUNNING,
        box=box,
        reached=reached,
        room=np.asarray(room[reached], np.float32),
        way=np.asarray(way[reached], np.float32),
        density=np.asarray(density, np.float32),
        fading_mm=float(rng.uniform(1, 5) if small else rng.uniform(3, 14)),
        voxel_ml=anatomy.voxel_ml,
        under_hu=anatomy.tissue.csf,
    )


def run_outwards(anatomy: Anatomy, room: Field, bleed: Bleed, rng: np.random.Generator) -> Field:
    """Return the distance (mm) from the nearest source of blood, made uneven, [Z, Y, X] of the cavity box."""
    if bleed.form is Form.SULCAL:
        way = _from_sulcus(anatomy, room, bleed, rng)
        small = bleed.volume_ml < ONE_SULCUS_BELOW_ML
        return way + np.float32(rng.uniform(0.5, 2) if small else rng.uniform(4, 9)) * smooth_field(rng, room.shape, 9)
    z, y, x = box_lines(anatomy)
    way = np.full(room.shape, 999.0, np.float32)
    later = float(rng.uniform(*_OTHER_SIDE_MM))
    for cz, cy, cx, start in sources(bleed):
        for s in (-1.0, 1.0):
            extra = start + (0 if s == bleed.side else later * float(rng.uniform(0.6, 1.2)) * (cx > 0))
            distance = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - s * cx) ** 2)
            way = np.minimum(way, distance + np.float32(extra))
    if bleed.form is Form.PERIMESENCEPHALIC:
        way += 2 * np.maximum(0, y - np.float32(2)) + 2 * np.maximum(0, np.abs(x) - np.float32(26))
    return np.asarray(way + np.float32(rng.uniform(3, 9)) * smooth_field(rng, room.shape, 9), np.float32)


def box_lines(anatomy: Anatomy) -> tuple[Field, Field, Field]:
    """Return MNI z, y, x (mm) of the cavity box as broadcastable arrays."""
    z, y, x = anatomy.atlas.mni()
    box = anatomy.cavity_box
    return z[box[0]], y[:, box[1]], x[:, :, box[2]]


def sources(bleed: Bleed) -> tuple[tuple[int, int, int, float], ...]:
    """Return MNI z, y, |x| (mm) of where blood of a form starts and runs to, and how far each is from the start."""
    return _MIDBRAIN if bleed.form is Form.PERIMESENCEPHALIC else _CISTERNS


def draw_sulcus(anatomy: Anatomy, room: Field, bleed: Bleed, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return a voxel z, y, x of the cavity box in a sulcus of the bleed's side."""
    atlas, box = anatomy.atlas, anatomy.cavity_box
    depth = -atlas.cavity_distance[box]
    on_side = np.float32(bleed.side) * anatomy.falx > 3
    height = atlas.mni()[0][box[0]]
    vault = (np.abs(depth - 6) < 4) & (height > -5) & (height < _HIGHEST_MM) & on_side
    vault &= atlas.tentorium_distance[box] > 5
    for least in (0.6, 0.3, 0.1, -1.0):
        candidates = np.flatnonzero(vault & (room > least))
        if candidates.size:
            break
    z, y, x = np.unravel_index(int(candidates[rng.integers(candidates.size)]), room.shape)
    return int(z), int(y), int(x)


def _from_sulcus(anatomy: Anatomy, room: Field, bleed: Bleed, rng: np.random.Generator) -> Field:
    """Return the way (mm) from a place in a sulcus of this side, [Z, Y, X] of the cavity box.

    A little blood stays in that sulcus: the way across its walls counts several times.
    """
    z, y, x = box_lines(anatomy)
    pz, py, px = draw_sulcus(anatomy, room, bleed, rng)
    dz, dy, dx = z - z[pz], y - y[:, py], x - x[:, :, px]
    squared = dz**2 + dy**2 + dx**2
    if bleed.volume_ml < ONE_SULCUS_BELOW_ML:
        around = tuple(slice(max(0, p - 7), p + 8) for p in (pz, py, px))
        slopes = [part.ravel() for part in np.gradient(room[around])]
        tensor = np.array([[float((a * b).sum(dtype=np.float64)) for b in slopes] for a in slopes])
        across = np.linalg.eigh(tensor)[1][:, -1]
        # MNI y and x fall with the index.
        off = dz * np.float32(across[0]) - dy * np.float32(across[1]) - dx * np.float32(across[2])
        squared = squared + np.float32(rng.uniform(6, 20)) * off**2
    return np.asarray(np.sqrt(squared), np.float32)
