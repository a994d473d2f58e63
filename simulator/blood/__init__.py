# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Acute blood inside the head: where it lies, how it grows to a volume, and what it does to the tissue around it.

`pattern` says which bleeds a head has together. A *plan* fixes the site and the shape of one for one head; `grow` lets
it reach a volume. `laying` puts the `Growth` of each into the object before any slice, point spread or noise: tissue is
pushed aside first, then blood replaces what fills its place.

Two generators draw shapes. The familiar one thresholds distances from ragged ellipsoids, elliptic lenses and points;
the held-out one grows blood through random tissue (`percolation`), floods a random relief on the wall (`flooding`) and
lets it wander through the CSF (`wandering`). Training never draws the second.
"""

from __future__ import annotations

import numpy as np

from appliance.reading.contract import HemorrhageType
from simulator.anatomy import Anatomy
from simulator.blood import (
    extraaxial,
    flooding,
    intraparenchymal,
    percolation,
    subarachnoid,
    ventricular,
    wandering,
)
from simulator.blood.form import Bleed, Form
from simulator.blood.growth import Plan
from simulator.population import BleedShapes


def plan_bleed(
    anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, shapes: BleedShapes = BleedShapes.FAMILIAR
) -> Plan:
    """Return a bleed of the form at a site of this head where about its volume fits.

    Parameters
    ----------
    shapes: which generator draws the shape; sites, densities and what gives way are the same.
    """
    held_out = shapes is BleedShapes.HELD_OUT
    if bleed.form is Form.VENTRICULAR:
        return ventricular.plan_ventricular(anatomy, bleed, rng, wandering.in_ventricles if held_out else None)
    if bleed.form.type is HemorrhageType.SAH:
        return subarachnoid.plan_subarachnoid(anatomy, bleed, rng, wandering.in_csf if held_out else None)
    if bleed.form.type is HemorrhageType.IPH:
        return intraparenchymal.plan_intraparenchymal(anatomy, bleed, rng, percolation.arrival if held_out else None)
    return flooding.plan_flooded(anatomy, bleed, rng) if held_out else extraaxial.plan_collection(anatomy, bleed, rng)
