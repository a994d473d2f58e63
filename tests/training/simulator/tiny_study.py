# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A head of ellipsoids with blood in it: stacks small enough to write a study in a tenth of a second."""

from __future__ import annotations

import numpy as np

from training.simulator.series import SeriesKind, Stack, projected, reformatted

SLICES, MATRIX = 6, 64


def tiny_axial(tilt_deg: float = 0.0, steps_mm: tuple[float, ...] = (10.0,) * (SLICES - 1)) -> Stack:
    """Return an axial stack of an ellipsoid head, nose-up, with an off-centre ball of blood high on the left.

    The head is a function of patient coordinates: other planes see the same head.
    """
    tilt = np.deg2rad(tilt_deg)
    row, column = np.array([1.0, 0.0, 0.0]), np.array([0.0, np.cos(tilt), -np.sin(tilt)])
    spacing = 220 / MATRIX
    heights = np.concatenate([[0.0], np.cumsum(steps_mm)])
    heights -= heights[-1] / 2
    centres = heights[:, None] * np.array([0.0, 0.0, 1.0])
    origins = centres - (MATRIX - 1) / 2 * spacing * (row + column)
    grid = np.arange(MATRIX) * spacing
    points = origins[:, None, None, :] + grid[None, :, None, None] * column + grid[None, None, :, None] * row
    radius = np.sqrt((points[..., 0] / 75) ** 2 + (points[..., 1] / 92) ** 2 + (points[..., 2] / 85) ** 2)
    hu = np.full(radius.shape, -1000, np.int16)
    hu[radius < 1] = 1100
    hu[radius < 0.92] = 34
    blood = np.linalg.norm(points - np.array([30.0, 20.0, 5.0]), axis=-1) < 18
    hu[blood] = 68
    hu += np.random.default_rng(1).integers(-8, 9, hu.shape, dtype=np.int16)
    y, x = np.mgrid[:MATRIX, :MATRIX] - (MATRIX - 1) / 2
    return Stack(
        hu=hu,
        labels=blood.astype(np.uint8),
        row=row,
        column=column,
        origins=origins,
        pixel_spacing_mm=(spacing, spacing),
        thickness_mm=np.concatenate([steps_mm[:1], np.asarray(steps_mm)]),
        outside=np.hypot(y, x) > MATRIX / 2,
    )


def tiny_stacks(tilt_deg: float = 0.0, steps_mm: tuple[float, ...] = (10.0,) * (SLICES - 1)) -> dict[SeriesKind, Stack]:
    """Return every CT series of the tiny head."""
    axial = tiny_axial(tilt_deg, steps_mm)
    return {
        SeriesKind.AXIAL: axial,
        SeriesKind.THIN: tiny_axial(0.0, (5.0,) * 11),
        SeriesKind.BONE: axial,
        SeriesKind.CORONAL: reformatted(axial, SeriesKind.CORONAL, thickness_mm=40, pixel_mm=5),
        SeriesKind.SAGITTAL: reformatted(axial, SeriesKind.SAGITTAL, thickness_mm=40, pixel_mm=5),
        SeriesKind.SCOUT: projected(axial, pixel_mm=4),
    }
