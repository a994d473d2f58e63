# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One seed, one head, bleeding as asked for: the search for the bleed whose labelled voxels have the volume wanted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from appliance.contract import HemorrhageType
from training.simulator.anatomy import Anatomy
from training.simulator.blood import bled, drawn_volume_ml, expected, planned
from training.simulator.fields import stream
from training.simulator.finding import Finding
from training.simulator.geometry import ScanGeometry, planned_geometry
from training.simulator.head import SimulatedHead
from training.simulator.labels import volumes_ml
from training.simulator.population import TRAINING, Population

VOLUME_TOLERANCE = 0.07
MEASUREMENTS = 4
NO_HU = np.zeros((1, 1, 1), np.float32)  # a head of which only the blood is looked at


def simulate_head(
    seed: int,
    finding: Finding | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    population: Population = TRAINING,
) -> SimulatedHead:
    """Return the head of a seed, bleeding as asked for.

    Parameters
    ----------
    volume_ml: the volume that labelled voxels on `geometry` shall have; drawn by default.
    geometry: the planes the volume is measured on, and the gantry tilt the head is laid for; the seed's own by default.
    population: what anatomy, mimics and bleeds are drawn from.
    """
    finding = Finding(finding)
    geometry = geometry or planned_geometry(seed)
    # A tilted gantry follows the skull base, so the head lies about that much chin up or down.
    towards = geometry.tilt_deg * float(stream(seed, "lying").uniform(0.3, 1.0))
    anatomy = Anatomy.drawn(seed, population, extra_pitch_deg=-towards)
    kind = finding.type
    if kind is None:
        return SimulatedHead(anatomy, anatomy.hu())
    wanted = drawn_volume_ml(stream(seed, "volume")) if volume_ml is None else volume_ml
    plan = planned(anatomy, kind, wanted, stream(seed, "blood"))
    # Labelled voxels are not the true fill: grow, measure at half the resolution, correct.
    measured = coarser(geometry)
    aim = wanted
    for _ in range(MEASUREMENTS):
        growth = plan.grown(aim)
        trial = SimulatedHead(anatomy, NO_HU, (expected(anatomy, kind, plan, growth),))
        ratio = _labelled_ml(trial, kind, measured) / wanted
        if abs(ratio - 1) < VOLUME_TOLERANCE:
            break
        aim /= float(np.clip(ratio, 0.4, 2.5))
    # What gave way to the blood may have changed what is seen of it.
    tried = []
    for _ in range(2):
        pushed, hu, blood = bled(anatomy, kind, growth)
        head = SimulatedHead(pushed, hu, (blood,))
        ratio = _labelled_ml(head, kind, geometry) / wanted
        tried.append((abs(ratio - 1), head))
        if abs(ratio - 1) < VOLUME_TOLERANCE:
            break
        aim /= float(np.clip(ratio, 0.4, 2.5))
        growth = plan.grown(aim)
    return min(tried, key=lambda one: one[0])[1]


def _labelled_ml(head: SimulatedHead, kind: HemorrhageType, geometry: ScanGeometry) -> float:
    """Return the volume (mL) of the voxels labelled with a type on these planes."""
    return volumes_ml(head.labels(geometry), geometry).get(kind, 0.0)


def coarser(geometry: ScanGeometry) -> ScanGeometry:
    """Return the geometry with half the rows and columns over the same field of view."""
    dy, dx = geometry.pixel_spacing_mm
    return replace(geometry, rows=geometry.rows // 2, columns=geometry.columns // 2, pixel_spacing_mm=(2 * dy, 2 * dx))
