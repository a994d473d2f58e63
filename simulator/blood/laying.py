# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood laid into a head: tissue gives way, oedema lowers what is around, blood fills its place.

Each bleed was planned in the head as it was without the others. So it moves with what the others push aside, and where
two meet the one laid later has the place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import HemorrhageType
from simulator.anatomy import Anatomy, Box
from simulator.blood.growth import Growth, Plan
from simulator.fields import Taps, spread
from simulator.warp import WARP_GRID_MM

Field = NDArray[np.float32]

_LEAST_MOVE_MM = 0.3


@dataclass(frozen=True)
class Blood:
    """The blood of one bleed in a head, in a box of the atlas grid.

    Attributes
    ----------
    low: index z, y, x of the box's first voxel on the atlas grid.
    fraction: float32 [Z, Y, X], how much of each voxel is blood.
    rise: float32 [Z, Y, X], HU by which the blood raises each voxel.
    hu: float32 [Z, Y, X], HU of the head there, blood and bone included.
    """

    type: HemorrhageType
    low: NDArray[np.int64]
    fraction: Field = field(repr=False)
    rise: Field = field(repr=False)
    hu: Field = field(repr=False)


def expected_blood(anatomy: Anatomy, kind: HemorrhageType, plan: Plan, growth: Growth) -> Blood:
    """Return the blood of a growth before anything gives way to it: enough to measure its labels."""
    seen = growth.inside(anatomy.cavity_box)
    under = plan.under_hu if growth.push is not None else anatomy.intracranial[seen]
    rise = growth.fraction * np.maximum(growth.density - under, 0)
    # Blood fills cavity only, and what is not cavity in a voxel is bone.
    hu = anatomy.exterior.hu[growth.box]
    hu = hu + anatomy.cavity[seen] * (under - hu) + growth.fraction * (growth.density - under)
    return Blood(kind, growth.low, growth.fraction, rise, hu)


def lay_bleeds(
    anatomy: Anatomy, growths: Sequence[tuple[HemorrhageType, Growth]]
) -> tuple[Anatomy, Field, tuple[Blood, ...]]:
    """Return the head after bleeds, laid in their order: its anatomy with tissue pushed aside, its HU, the blood.

    Returns
    -------
    anatomy: with the tissue pushed aside.
    hu: float32 [Z, Y, X] on the atlas grid.
    blood: of each growth, in order, what later ones left of it.
    """
    pushes = [growth.push for _, growth in growths if growth.push is not None]
    moved = [(kind, _move(growth, pushes, anatomy.cavity_box)) for kind, growth in growths]
    if pushes:
        anatomy = anatomy.push_tissue(np.asarray(np.sum(pushes, 0), np.float32))
    inside = anatomy.intracranial.copy()
    grey, white, _ = anatomy.fractions
    for _, growth in moved:
        if growth.oedema is not None:
            seen = growth.inside(anatomy.cavity_box)
            inside[seen] -= growth.oedema * (0.5 * grey[seen] + white[seen])
    tissue = inside.copy()
    left = np.ones(inside.shape, np.float32)  # of each voxel, what blood laid later does not fill
    fractions: list[Field] = []
    for _, growth in reversed(moved):
        seen = growth.inside(anatomy.cavity_box)
        # What is not cavity in the voxel is bone, and stays.
        share = np.minimum(growth.fraction / np.maximum(anatomy.cavity[seen], 0.02), 1) * left[seen]
        inside[seen] += share * (growth.density - tissue[seen])
        fractions.append(growth.fraction * left[seen])
        left[seen] -= share
    hu = anatomy.hu(inside)
    blood = []
    for (kind, growth), fraction in zip(moved, reversed(fractions), strict=True):
        seen = growth.inside(anatomy.cavity_box)
        rise = np.maximum(fraction * (growth.density - tissue[seen]), 0)
        blood.append(Blood(kind, growth.low, fraction, rise, hu[growth.box]))
    return anatomy, hu, tuple(blood)


def _move(growth: Growth, pushes: Sequence[Field], within: Box) -> Growth:
    """Return a growth as what other bleeds push aside takes it along; its own push has shaped it already."""
    others = [push for push in pushes if push is not growth.push]
    if not others:
        return growth
    push = np.asarray(np.sum(others, 0), np.float32)
    nodes = tuple(slice(s.start // WARP_GRID_MM, -(-s.stop // WARP_GRID_MM) + 1) for s in growth.box)
    margin = int(np.ceil(np.abs(push[(slice(None), *nodes)]).max(initial=0)))
    if margin < _LEAST_MOVE_MM:
        return growth
    low = [min(margin, s.start - w.start) for s, w in zip(growth.box, within, strict=True)]
    high = [min(margin, w.stop - s.stop) for s, w in zip(growth.box, within, strict=True)]
    z, y, x = (slice(s.start - a, s.stop + b) for s, a, b in zip(growth.box, low, high, strict=True))
    at = [np.arange(s.start, s.stop, dtype=np.float32) for s in (z, y, x)]
    taps = tuple(Taps.linear(a / WARP_GRID_MM, n) for a, n in zip(at, push.shape[1:], strict=True))
    source = spread(push, taps)
    for axis, (a, start) in enumerate(zip(at, growth.low, strict=True)):
        source[axis] += (a - start).reshape([-1 if k == axis else 1 for k in range(3)])

    def take(part: Field) -> Field:
        return np.asarray(ndimage.map_coordinates(part, source, order=1, mode="constant", output=np.float32))

    return replace(
        growth,
        box=(z, y, x),
        fraction=take(growth.fraction),
        density=np.pad(growth.density, list(zip(low, high, strict=True)), mode="edge"),
        oedema=None if growth.oedema is None else take(growth.oedema),
    )
