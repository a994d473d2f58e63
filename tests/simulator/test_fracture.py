# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Fractures: a thin dark line in bone, on the side it says."""

from __future__ import annotations

import numpy as np

from simulator.anatomy import Anatomy
from simulator.fields import stream
from simulator.mimics.fracture import Fracture
from simulator.mimics.mimic import Outside


def test_a_fracture_is_a_thin_line_through_bone_on_its_side():
    anatomy = Anatomy.draw(3)
    atlas = anatomy.atlas
    z, y, x = atlas.mni()
    for seed in range(3):
        fracture = Fracture.draw(stream(seed, "fracture"))
        hu = np.full(atlas.shape, 1000, np.float32)
        skull = atlas.skull_distance
        fracture.lay_outside(Outside(hu, z, y, x, atlas.cavity_distance, skull, atlas.head_distance, anatomy.tissue))
        parted = hu < 700
        bone = (skull < 0) & (atlas.cavity_distance > 0)

        assert 20 < parted.sum() < 0.02 * bone.sum()
        assert (parted & ~bone).sum() < 0.2 * parted.sum()
        assert (np.sign(np.broadcast_to(x, parted.shape)[parted]) == fracture.side).mean() > 0.6
        place = np.array(fracture.place)
        where = np.stack([np.broadcast_to(line, parted.shape)[parted] for line in (z, y, x)], 1)
        assert np.sqrt(((where - place) ** 2).sum(1)).min() < 25
