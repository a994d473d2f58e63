# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Random changes to a training crop, so that the network learns blood and not the generator of the scans.

Geometry (mirror, rotation, scale) is applied where the crop is cut; here are also the changes of the values that
scanners make: offset and gain of the HU scale, slow shading (beam hardening), sharper and softer kernels, noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


@dataclass(frozen=True)
class View:
    """Where a crop is cut from a slice: a rotated, scaled, possibly mirrored square.

    Attributes
    ----------
    centre
        (y, x) in pixels of the slice.
    angle
        Rotation in radians.
    scale
        Pixels of the slice per pixel of the crop.
    mirrored
        Whether left and right are swapped.
    """

    centre: tuple[float, float]
    angle: float = 0.0
    scale: float = 1.0
    mirrored: bool = False


def random_view(centre: tuple[float, float], rng: np.random.Generator) -> View:
    """Return a view about `centre`: half of them mirrored, two thirds turned by up to 17 degrees and scaled."""
    turned = rng.random() < 0.67
    return View(
        centre,
        angle=float(rng.uniform(-0.3, 0.3)) if turned else 0.0,
        scale=float(np.exp(rng.uniform(-0.2, 0.2))) if turned else 1.0,
        mirrored=bool(rng.random() < 0.5),
    )


def cut(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], view: View, size: int
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Return a view of `size` x `size` of all slices of hu and labels [D, H, W] (bilinear; labels nearest).

    Beyond the slice lies air (-1024 HU).
    """
    offset = np.arange(size) - (size - 1) / 2
    dy, dx = np.meshgrid(offset, -offset if view.mirrored else offset, indexing="ij")
    cos, sin = view.scale * np.cos(view.angle), view.scale * np.sin(view.angle)
    y = view.centre[0] + cos * dy + sin * dx
    x = view.centre[1] - sin * dy + cos * dx
    # Only the window that the view touches is read: the arrays are memory-mapped files.
    height, width = hu.shape[1:]
    top, left = (int(np.clip(np.floor(v.min()), 0, n - 2)) for v, n in ((y, height), (x, width)))
    bottom, right = (int(np.clip(np.ceil(v.max()) + 2, 2, n)) for v, n in ((y, height), (x, width)))
    window, marks = np.asarray(hu[:, top:bottom, left:right]), np.asarray(labels[:, top:bottom, left:right])
    outside = (y < 0) | (x < 0) | (y > height - 1) | (x > width - 1)
    y = np.clip(y - top, 0, window.shape[1] - 1.001)
    x = np.clip(x - left, 0, window.shape[2] - 1.001)
    nearest = (slice(None), (y + 0.5).astype(np.intp), (x + 0.5).astype(np.intp))
    if view.angle == 0.0 and view.scale == 1.0:
        values = window[nearest].astype(np.float32)  # interpolation would only blur
    else:
        y0, x0 = y.astype(np.intp), x.astype(np.intp)
        fy, fx = (y - y0).astype(np.float32), (x - x0).astype(np.float32)
        upper = window[:, y0, x0] * (1 - fx) + window[:, y0, x0 + 1] * fx
        lower = window[:, y0 + 1, x0] * (1 - fx) + window[:, y0 + 1, x0 + 1] * fx
        values = (upper * (1 - fy) + lower * fy).astype(np.float32)
    found = marks[nearest]
    values[:, outside], found[:, outside] = -1024.0, 0
    return values, found


def shaken(hu: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return hu [D, H, W] as another scanner might have given it; every change is drawn once for all slices."""
    kernel = rng.random()
    if kernel < 0.2:
        hu = ndimage.gaussian_filter(hu, (0, *(2 * [rng.uniform(0.4, 1.1)])))
    elif kernel < 0.35:
        soft = ndimage.gaussian_filter(hu, (0, 1.0, 1.0))
        hu = hu + np.float32(rng.uniform(0.2, 0.7)) * (hu - soft)
    hu = hu * np.float32(rng.uniform(0.94, 1.06)) + np.float32(rng.normal(0, 3))
    if rng.random() < 0.4:
        coarse = rng.normal(0, 3, (4, 4))
        shading = ndimage.zoom(coarse, np.array(hu.shape[1:]) / 4, order=1)
        hu = hu + shading.astype(np.float32)
    if rng.random() < 0.6:
        hu = hu + rng.standard_normal(hu.shape, np.float32) * np.float32(rng.uniform(0, 7))
    return np.asarray(hu, np.float32)
