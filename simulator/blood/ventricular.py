# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood in the ventricles: casts near where it broke in, and levels in the occipital horns of one who lies supine.

Blood that does not clot sinks: a horizontal level in the dependent horns is the usual sight of a small amount, a cast
of a whole horn that of much (Graeb et al., Radiology 1982; Hallevi et al., Neurology 2008).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Anatomy
from simulator.blood.clot import Clot, downwards
from simulator.blood.csf import POOLING, CsfPlan
from simulator.blood.form import Bleed
from simulator.fields import smooth_field

Field = NDArray[np.float32]


Way = Callable[[Anatomy, NDArray[np.bool_], Bleed, np.random.Generator], tuple[Field, float]]
"""What gives the order (mm) in which blood fills the voxels of a mask of the cavity box, and the width of its edge."""


def plan_ventricular(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, way_of: Way | None = None) -> CsfPlan:
    """Return ventricular blood, most of it on the side of the bleed.

    Parameters
    ----------
    way_of: how it fills the ventricles; levels and casts by default.
    """
    box = anatomy.cavity_box
    ventricle = anatomy.fractions[2]
    reached = ventricle > 0.05
    way, fading = (way_of or levels_and_casts)(anatomy, reached, bleed, rng)
    clot = Clot.draw(anatomy, bleed, rng)
    density = clot.density(rng, reached.shape, 6.0)
    density -= np.float32(rng.uniform(0, 14))  # thinned by CSF
    return CsfPlan(
        filling=POOLING,
        box=box,
        reached=reached,
        room=ventricle[reached],
        way=way,
        density=np.maximum(density, np.float32(34)),
        fading_mm=fading,
        voxel_ml=anatomy.voxel_ml,
        under_hu=anatomy.tissue.csf,
    )


def levels_and_casts(
    anatomy: Anatomy, reached: NDArray[np.bool_], bleed: Bleed, rng: np.random.Generator
) -> tuple[Field, float]:
    """Return the height (mm) over each ventricle's floor, in part of heads the distance from a cast if that is less."""
    down = downwards(anatomy, anatomy.cavity_box)
    right = np.float32(bleed.side) * anatomy.falx
    here = right[reached]
    # The lateral ventricles are separate pools, each with a floor of its own.
    way = np.zeros(here.shape, np.float32)
    depth = down[reached]
    lag = float(rng.choice([0.0, rng.uniform(2, 25)]))  # how much later blood shows on the other side
    for pool, late in ((here >= 0, 0.0), (here < 0, lag)):
        if pool.any():
            way[pool] = np.percentile(depth[pool], 99.5) - depth[pool] + np.float32(late)
    fading = float(rng.uniform(1.0, 3.0))
    if rng.random() < 0.45:
        # A cast: clot about the place of rupture, before and beside the level.
        place = np.flatnonzero(here > 2)
        start = int(place[rng.integers(place.size)]) if place.size else 0
        z, y, x = np.nonzero(reached)
        away = np.sqrt((z - z[start]) ** 2 + (y - y[start]) ** 2 + (x - x[start]) ** 2).astype(np.float32)
        away += np.float32(rng.uniform(2, 5)) * smooth_field(rng, reached.shape, 7)[reached]
        way = np.minimum(way + np.float32(rng.uniform(0, 12)), np.maximum(away, 0) * np.float32(rng.uniform(0.5, 1.2)))
        fading = float(rng.uniform(2.0, 5.0))
    return np.asarray(way, np.float32), fading
