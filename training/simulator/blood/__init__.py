# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Acute blood inside the head: where it lies, how it grows to a volume, and what it does to the tissue around it.

A *plan* fixes the site and the shape of a bleed for one head; `grown` lets it reach a volume. Its `Growth` enters the
object before any slice, point spread or noise: tissue is pushed aside first, then blood replaces what fills its place.

Acute clot measures 55-80 HU, rising with haematocrit and retraction (New & Aronow, Radiology 1976; Norman et al.,
Radiology 1977); swirls of unclotted blood are lower (Al-Nakshabandi, Radiology 2001); subarachnoid blood is
thinned by CSF.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from appliance.contract import HemorrhageType
from training.simulator.anatomy import Anatomy
from training.simulator.blood import extraaxial, intraparenchymal, subarachnoid
from training.simulator.blood.growth import Growth, Plan

Field = NDArray[np.float32]

_PLANS: dict[HemorrhageType, Callable[[Anatomy, float, np.random.Generator], Plan]] = {
    HemorrhageType.IPH: intraparenchymal.planned,
    HemorrhageType.EDH_SDH: extraaxial.planned,
    HemorrhageType.SAH: subarachnoid.planned,
}


@dataclass(frozen=True)
class Blood:
    """The blood of one type in a head, in a box of the atlas grid.

    Attributes
    ----------
    low: index z, y, x of the box's first voxel on the atlas grid.
    fraction: float32 [Z, Y, X], how much of each voxel is blood.
    rise: float32 [Z, Y, X], HU by which the blood raises each voxel.
    """

    type: HemorrhageType
    low: NDArray[np.int64]
    fraction: Field = field(repr=False)
    rise: Field = field(repr=False)


def drawn_volume_ml(rng: np.random.Generator) -> float:
    """Return a volume distributed about as the paper's Table 1: median 25 mL, quartiles 8 and 36, tails 0.3 and 110."""
    low, middle, high = np.log(8.3), np.log(24.9), np.log(35.6)
    z = rng.standard_normal()
    value = middle + z * ((high - middle) if z > 0 else (middle - low)) / 0.6745
    return float(np.clip(np.exp(value), 0.3, 110))


def planned(anatomy: Anatomy, kind: HemorrhageType, volume_ml: float, rng: np.random.Generator) -> Plan:
    """Return a bleed of the type at a site of this head where about `volume_ml` fits."""
    return _PLANS[kind](anatomy, volume_ml, rng)


def expected(anatomy: Anatomy, kind: HemorrhageType, plan: Plan, growth: Growth) -> Blood:
    """Return the blood of a growth before anything gives way to it: enough to measure its labels."""
    under = plan.under_hu if growth.push is not None else anatomy.intracranial[growth.inside(anatomy.cavity_box)]
    return Blood(kind, growth.low, growth.fraction, growth.fraction * np.maximum(growth.density - under, 0))


def bled(anatomy: Anatomy, kind: HemorrhageType, growth: Growth) -> tuple[Anatomy, Field, Blood]:
    """Return the head after a bleed: its anatomy with tissue pushed aside, its HU on the atlas grid, and the blood."""
    if growth.push is not None:
        anatomy = anatomy.pushed(growth.push)
    inside = anatomy.intracranial.copy()
    seen = growth.inside(anatomy.cavity_box)
    if growth.oedema is not None:
        grey, white, _ = anatomy.fractions
        inside[seen] -= growth.oedema * (0.5 * grey[seen] + white[seen])
    under = inside[seen].copy()
    # What is left of the voxel is bone, and stays.
    share = growth.fraction / np.maximum(anatomy.cavity[seen], 0.02)
    inside[seen] += np.minimum(share, 1) * (growth.density - under)
    rise = np.maximum(growth.fraction * (growth.density - under), 0)
    return anatomy, anatomy.hu(inside), Blood(kind, growth.low, growth.fraction, rise)
