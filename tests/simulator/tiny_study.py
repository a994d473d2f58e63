# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A head of ellipsoids with blood in it: stacks small enough to write a study in a tenth of a second.

The head is a function of patient coordinates, so that every plane laid through it sees the same head. What the real
heads look like is none of its business: it is there for geometry, number formats and headers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.geometry import ScanGeometry
from simulator.series import (
    AXIAL_KINDS,
    SCOUTS,
    Planes,
    SeriesKind,
    project_scout,
    series_geometry,
    slabs,
    within_circle,
)

SLICES, MATRIX = 6, 64
STEPS_MM = (20.0,) * SLICES
BLOOD_CENTRE_MM = (30.0, 20.0, 5.0)


def tiny_geometry(tilt_deg: float = 0.0, steps_mm: tuple[float, ...] = STEPS_MM) -> ScanGeometry:
    """Return planes whose slices, `steps_mm` thick, touch one another."""
    steps = np.asarray(steps_mm)
    return ScanGeometry(
        rows=MATRIX,
        columns=MATRIX,
        pixel_spacing_mm=(220 / MATRIX, 220 / MATRIX),
        positions_mm=tuple((np.cumsum(steps) - (steps + steps.sum()) / 2).tolist()),
        thickness_mm=steps_mm,
        tilt_deg=tilt_deg,
    )


def tiny_stack(geometry: ScanGeometry) -> Planes:
    """Return the tiny head on these planes, with an off-centre ball of blood high on the left."""
    row, column, _ = geometry.axes
    dy, dx = geometry.pixel_spacing_mm
    y, x = np.arange(geometry.rows) * dy, np.arange(geometry.columns) * dx
    points = geometry.origins_mm[:, None, None] + y[:, None, None] * column + x[:, None] * row
    radius = np.sqrt((points[..., 0] / 75) ** 2 + (points[..., 1] / 92) ** 2 + (points[..., 2] / 85) ** 2)
    hu = np.full(radius.shape, -1000, np.int16)
    hu[radius < 1] = 1100
    hu[radius < 0.92] = 34
    blood = np.linalg.norm(points - BLOOD_CENTRE_MM, axis=-1) < 18
    hu[blood] = 68
    hu += np.random.default_rng(1).integers(-8, 9, hu.shape, dtype=np.int16)
    return Planes.on(geometry, hu, blood.astype(np.uint8))


def tiny_stacks(tilt_deg: float = 0.0, steps_mm: tuple[float, ...] = STEPS_MM) -> dict[SeriesKind, Planes]:
    """Return every CT series of the tiny head, reformats with few planes."""
    axial = tiny_geometry(tilt_deg, steps_mm)
    stacks = {}
    for kind in (kind for kind in SeriesKind if kind is not SeriesKind.DOSE):
        geometry = series_geometry(kind, axial)
        if geometry.shape[0] > 20 and kind not in SCOUTS:
            part = slice(None, None, geometry.shape[0] // 8)
            geometry = replace(
                geometry, positions_mm=geometry.positions_mm[part], thickness_mm=geometry.thickness_mm[part]
            )
        stack = tiny_stack(geometry)
        stacks[kind] = project_scout(stack) if kind in SCOUTS else slabs(stack) if kind is SeriesKind.MIP else stack
        if kind in AXIAL_KINDS:
            stacks[kind] = within_circle(stack)
    return stacks
