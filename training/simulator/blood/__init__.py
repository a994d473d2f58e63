# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Acute blood inside the head: where it lies, how it grows to a volume, and what it does to the tissue around it.

`pattern` says which bleeds a head has together. A *plan* fixes the site and the shape of one for one head; `grown` lets
it reach a volume. `laid` puts the `Growth` of each into the object before any slice, point spread or noise: tissue is
pushed aside first, then blood replaces what fills its place.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from appliance.contract import HemorrhageType
from training.simulator.anatomy import Anatomy
from training.simulator.blood import extraaxial, intraparenchymal, subarachnoid, ventricular
from training.simulator.blood.form import Bleed, Form
from training.simulator.blood.growth import Plan


def planned(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator) -> Plan:
    """Return a bleed of the form at a site of this head where about its volume fits."""
    if bleed.form is Form.VENTRICULAR:
        return ventricular.planned(anatomy, bleed, rng)
    plans: dict[HemorrhageType, Callable[[Anatomy, Bleed, np.random.Generator], Plan]] = {
        HemorrhageType.IPH: intraparenchymal.planned,
        HemorrhageType.EDH_SDH: extraaxial.planned,
        HemorrhageType.SAH: subarachnoid.planned,
    }
    return plans[bleed.form.type](anatomy, bleed, rng)
