# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Slow shading of a slice, on the coarse cells: cupping, glare and windmills, each from what `Rays` knows.

Cupping (or capping, where the correction goes too far) is a bowl over the head. Glare is what scatter and off-focal
radiation spill about bone: the bright band along the inner table that passes for thin blood. Windmills are what helical
interpolation makes of bone that begins or ends between slices: bright and dark vanes about it, turning from slice to
slice (Barrett & Keat, RadioGraphics 2004, on cupping and on helical artefacts; glare's range is this project's own).
"""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy import ndimage

from simulator.scanner.rays import CELL_PX, Rays
from simulator.scanner.settings import Scanner

Field = NDArray[np.float32]

VANES = 3  # pairs of vanes about an edge
VANE_CELLS = 5.0  # how far they reach
VANE_GAIN = np.float32(2.0)  # so that vanes of a petrous bone have about unit strength
TURN_PER_SLICE = 1.1  # radians


def shading(rays: Rays, pixel_mm: float, scanner: Scanner, rng: np.random.Generator) -> Field:
    """Return the HU that a scanner adds to the cells of slices, [Z, y, x]; cells are `CELL_PX` pixels of `pixel_mm`."""
    shade = rays.hardening * np.float32(scanner.hardening)
    if scanner.cupping_hu:
        shade += _bowl(rays) * np.float32(scanner.cupping_hu)
    if scanner.glare_hu:
        reach = scanner.glare_mm / (CELL_PX * pixel_mm)
        shade += ndimage.gaussian_filter(rays.bone, (0, reach, reach)) * np.float32(scanner.glare_hu)
    start = float(rng.uniform(0, 2 * np.pi))
    if scanner.windmill_hu:
        shade += _windmills(rays.bone, start) * np.float32(scanner.windmill_hu)
    return shade


def _bowl(rays: Rays) -> Field:
    """Return a bowl over each head, [Z, y, x], 1 higher at its rim than in its middle and 0 on average."""
    y, x = ((np.arange(n, dtype=np.float32) + 0.5) * CELL_PX for n in rays.bone.shape[1:])
    out = np.empty(rays.bone.shape, np.float32)
    for k, (middle_y, middle_x, half_y, half_x) in enumerate(rays.body):
        away = ((y - middle_y) / half_y)[:, None] ** 2 + ((x - middle_x) / half_x) ** 2
        out[k] = np.minimum(away, 1) - 0.5
    return out


def _windmills(bone: Field, start: float) -> Field:
    """Return vanes [Z, y, x] about what bone [Z, y, x] changes from slice to slice."""
    planes, rows, columns = bone.shape
    change = np.gradient(bone, axis=0) if planes > 1 else np.zeros_like(bone)
    size = (2 * rows, 2 * columns)
    y, x = (scipy.fft.fftfreq(n, 1 / n).astype(np.float32) for n in size)
    radius, angle = np.hypot(y[:, None], x), np.arctan2(y[:, None], x)
    reach = VANE_GAIN * np.exp(-radius / np.float32(VANE_CELLS)) * (radius > 0) / (radius + 1)
    out = np.empty(bone.shape, np.float32)
    for k in range(planes):
        vanes = reach * np.cos(VANES * angle + np.float32(start + TURN_PER_SLICE * k))
        both = scipy.fft.rfft2(vanes.astype(np.float32)) * scipy.fft.rfft2(change[k], size)
        out[k] = scipy.fft.irfft2(both, size)[:rows, :columns]
    return out
