# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One head's skull: two tables of uneven thickness around diploe, sutures, petrous bone, air cells and sinuses.

Tables are 1-2.5 mm thick and the diploe between them comes and goes (Lillie et al., J Bone Miner Res 2016; Lynnerup et
al., Head Face Med 2005). Frontal sinuses run from none to half the forehead, each side its own, in the mean 52 mm wide,
25 high and 8-9 deep (Lee et al., J Craniomaxillofac Surg 2010); mastoids are from sclerotic to cellular, and some hold
fluid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import Atlas
from simulator.fields import smooth_field, stream
from simulator.landmarks import smoothstep
from simulator.sutures import Sutures
from simulator.tissue import Tissue

Field = NDArray[np.float32]

AIR_HU = -1000.0
FLUID_HU = 22.0


@dataclass(frozen=True)
class Skull:
    """What tells one skull from the next; pairs are (where MNI x is positive, where it is negative).

    Attributes
    ----------
    table_mm: thickness of inner and outer table.
    lakes: how strongly the diploe varies.
    frontal_sinus: size of the two halves, 0 for none, 1 as usual.
    cells: how much of each mastoid is air cells, about -1 (sclerotic) to 1.5.
    mastoid_fluid: whether fluid fills the cells.
    sinus_fluid: how full of fluid and swollen mucosa the paranasal sinuses are, 0 to 1.
    """

    sutures: Sutures
    table_mm: tuple[float, float]
    lakes: float
    frontal_sinus: tuple[float, float]
    cells: tuple[float, float]
    mastoid_fluid: tuple[bool, bool]
    sinus_fluid: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age_years: float) -> Skull:
        """Return the skull of a head of this age."""
        sinus = rng.uniform(0.0, 1.4)
        cells = rng.normal(0.7, 0.5)
        table = rng.uniform(1.0, 2.1)
        return cls(
            sutures=Sutures.draw(rng, age_years),
            table_mm=(float(table), float(table * rng.uniform(1.0, 1.35))),
            lakes=float(rng.uniform(0.15, 0.5)),
            frontal_sinus=(float(max(0, sinus + rng.normal(0, 0.25))), float(max(0, sinus + rng.normal(0, 0.25)))),
            cells=(float(cells + rng.normal(0, 0.25)), float(cells + rng.normal(0, 0.25))),
            mastoid_fluid=(bool(rng.random() < 0.06), bool(rng.random() < 0.06)),
            sinus_fluid=float(rng.uniform(0.2, 1.0)) if rng.random() < 0.18 else 0.0,
        )


def lay_skull(
    hu: Field, bone: Field, outer: Field, atlas: Atlas, tissue: Tissue, skull: Skull, texture: Field, seed: int
) -> None:
    """Put the skull into `hu` [Z, Y, X] of the atlas grid.

    Parameters
    ----------
    bone: how much of each voxel lies between the tables.
    outer: mm to this head's outer table, negative inside.
    texture: a smooth random field.
    """
    where = bone > 0
    z, y, x = np.nonzero(where)
    lines = [part.ravel() for part in atlas.mni()]
    mni_z, mni_y, mni_x = lines[0][z], lines[1][y], lines[2][x]
    from_inner, from_outer = atlas.cavity_distance[where], -outer[where]
    grain = texture[where]
    coarse = smooth_field(stream(seed, "diploe"), atlas.shape, 14)[where]
    inner_table, outer_table = (np.float32(mm) * (1 + np.float32(0.28) * coarse) for mm in skull.table_mm)
    spongy = smoothstep(np.minimum(from_inner - inner_table, from_outer - outer_table) / np.float32(1.2) + 0.15)
    off_petrous = ((np.abs(mni_x) - 34) / 18) ** 2 + ((mni_y + 30) / 15) ** 2 + ((mni_z + 38) / 12) ** 2
    petrous = np.exp(-0.5 * off_petrous**2)
    marrow = np.float32(tissue.diploe) * np.clip(1 + np.float32(skull.lakes) * (0.7 * grain + 0.6 * coarse), 0.1, 2)
    dense = np.float32(tissue.cortical) * (1 + np.float32(0.05) * grain)
    hard = dense + spongy * (marrow - dense)
    hard += petrous * (np.float32(tissue.petrous) - hard) * np.float32(0.8)
    vault = mni_z > -32
    outwards = from_inner[vault] / np.maximum(from_inner[vault] + from_outer[vault], 0.5)
    gap = skull.sutures.gap(mni_z[vault], mni_y[vault], mni_x[vault], np.clip(outwards, 0, 1))
    hard[vault] += gap * (np.float32(60) - hard[vault])
    hollow, filled = _mastoid(atlas, skull, seed)
    share = hollow[where]
    hard += share * (filled[where] - hard)
    hu[where] += bone[where] * (hard - hu[where])


def _mastoid(atlas: Atlas, skull: Skull, seed: int) -> tuple[Field, Field]:
    """Return how much of each voxel is mastoid cells, and the HU of what fills them, on the atlas grid."""
    share = np.zeros(atlas.shape, np.float32)
    content = np.full(atlas.shape, AIR_HU, np.float32)
    found = ndimage.find_objects((atlas.mastoid > 0.05).astype(np.uint8))
    if not found:
        return share, content
    box = found[0]
    right = np.broadcast_to(atlas.mni()[2] > 0, atlas.shape)[box]
    part = share[box]
    cells = smooth_field(stream(seed, "mastoid"), part.shape, 2.2)
    size = np.where(right, np.float32(skull.cells[0]), np.float32(skull.cells[1]))
    share[box] = atlas.mastoid[box] * smoothstep(cells * 1.5 + size)
    content[box] = np.where(np.where(right, *skull.mastoid_fluid), np.float32(FLUID_HU), np.float32(AIR_HU))
    return share, content


def sinus_air(atlas: Atlas, outer: Field, skull: Skull, seed: int) -> tuple[Field, Field]:
    """Return how much of each voxel is airway, sinus or nose outside the cavity, and how much of that is fluid.

    The frontal sinus is this head's own: a part of the atlas's, or more of the bone between the tables.
    """
    rng = stream(seed, "sinuses")
    air = np.array(atlas.air)
    z, y, x = atlas.mni()
    rows = np.flatnonzero((y.ravel() > 48) & (y.ravel() < 96))
    levels = np.flatnonzero((z.ravel() > -30) & (z.ravel() < 46))
    columns = np.flatnonzero(np.abs(x.ravel()) < 46)
    box = tuple(slice(int(i[0]), int(i[-1]) + 1) for i in (levels, rows, columns))
    height, across = z[box[0]], x[:, :, box[2]]
    shape = tuple(s.stop - s.start for s in box)
    scallops = np.float32(0.22) * smooth_field(rng, shape, 7)
    sway = float(rng.normal(0, 3))
    lobes = np.zeros(shape, np.float32)
    for sign, size in zip((1.0, -1.0), skull.frontal_sinus, strict=True):
        if size < 0.12:
            continue
        off = np.sqrt(
            ((sign * (across - sway) - 13 * size) / np.float32(17 * size)) ** 2
            + ((height + 14 - 5 * size) / np.float32(15 * size)) ** 2
        )
        lobe = smoothstep((1 - off + scallops) * 5 + 0.5) * smoothstep((sign * (across - sway) - 0.4) / 1.0)
        lobes = np.maximum(lobes, lobe)
    between = np.minimum(atlas.cavity_distance[box], -outer[box])
    hollowed = smoothstep((between - 1.5) / 0.9) * (y[:, box[1]] > 52)
    # Below the forehead the nose goes on as it is.
    forehead = smoothstep((height + 26) / 5)
    air[box] = air[box] * (1 - forehead) + forehead * lobes * np.maximum(air[box] * (between > 0.8), hollowed)
    _round_sphenoid(air, atlas, rng)
    fluid = np.zeros(atlas.shape, np.float32)
    if skull.sinus_fluid:
        # Fluid lies behind (the patient is on the back), swollen mucosa on the walls of some cavities.
        room = smooth_field(rng, atlas.shape, 16)
        fluid = smoothstep((room + np.float32(2.2 * skull.sinus_fluid - 1.6)) * 4)
        fluid *= (y > 15) & (np.abs(x) > 5)
    return air, np.asarray(fluid, np.float32)


def _round_sphenoid(air: Field, atlas: Atlas, rng: np.random.Generator) -> None:
    """Give the sphenoid sinus in `air` [Z, Y, X] round walls and a size of its own; the atlas cuts it off squarely."""
    z, y, x = atlas.mni()
    levels = np.flatnonzero((z.ravel() > -47) & (z.ravel() < -16))
    rows = np.flatnonzero((y.ravel() > -12) & (y.ravel() < 16))
    box = (slice(int(levels[0]), int(levels[-1]) + 1), slice(int(rows[0]), int(rows[-1]) + 1), slice(None))
    wide, deep = float(rng.uniform(14, 22)), float(rng.uniform(12, 20))
    off = np.sqrt((x / np.float32(wide)) ** 2 + (np.minimum(y[:, box[1]] - 14, 0) / np.float32(deep)) ** 2)
    ragged = np.float32(0.12) * smooth_field(rng, air[box].shape, 6)
    near = smoothstep((44 + z[box[0]]) / 4) * smoothstep((16 - y[:, box[1]]) / 3)
    air[box] *= 1 - near * (1 - smoothstep((1 - off + ragged) * 6 + 0.5))
