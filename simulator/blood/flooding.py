# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out shapes of extra-axial blood: a random relief on the wall that is flooded from its lowest place.

A Gaussian random field over the wall, tilted so that it rises away from one place, is filled up to a level; where it
lies under the level there is blood, as thick as the water would be deep. Such collections have bays, lobes and uneven
thickness where the familiar ones are ellipses with a smooth profile.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Anatomy
from simulator.blood import extraaxial
from simulator.blood.form import Bleed, Form
from simulator.fields import smooth_field

Field = NDArray[np.float32]


@dataclass(frozen=True)
class FloodedPlan(extraaxial.ExtraaxialPlan):
    """An extra-axial collection whose `spot` is the relief, and whose `waves` only say where it may go."""

    def _thickness(self, size: float) -> Field:
        """Return the thickness (mm) at each voxel of `reached`."""
        depth = np.maximum(np.float32(size) - self.spot, 0)
        # Steep shores: thickness rises within a few mm and then with the level.
        return np.asarray(
            np.float32(self.collection.thickness_mm) * np.power(depth, np.float32(0.65)) * self.waves, np.float32
        )


def plan_flooded(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator) -> FloodedPlan:
    """Return an extra-axial collection of a form on its side of the head."""
    plan = extraaxial.plan_collection(anatomy, bleed, rng, waved=False)
    shape = plan.reached.shape
    epidural = bleed.form is Form.EPIDURAL
    relief = np.float32(rng.uniform(0.12, 0.25)) * smooth_field(rng, shape, float(rng.uniform(16, 30)))
    relief += np.float32(rng.uniform(0.04, 0.12)) * smooth_field(rng, shape, float(rng.uniform(5, 9)))
    shallow = np.float32(0.35 if epidural else 1.0) * relief[plan.reached]
    tilted = np.power(plan.spot, np.float32(1.0 if epidural else rng.uniform(0.6, 0.9))) + shallow
    kept = {f.name: getattr(plan, f.name) for f in fields(plan)}
    return FloodedPlan(**{**kept, "spot": np.asarray(tilted - tilted.min(initial=9), np.float32)})
