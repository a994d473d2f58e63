# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The two diameters of a region on one slice: the longest one and the longest one perpendicular to it, with their ends.

ABC/2 multiplies them and the SR draws them, so both mean the same A and B.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform


@dataclass(frozen=True, eq=False)
class Diameters:
    """The diameters of a region, between outer edges of its pixels.

    `long_mm` and `short_mm` are A and B, mm; `long_ends` and `short_ends` are where they end, float64 [2, 2], (row,
    column) in pixels: the first pixel of a plane reaches from 0 to 1, so its centre is 0.5.
    """

    long_mm: float
    short_mm: float
    long_ends: NDArray[np.float64]
    short_ends: NDArray[np.float64]


def diameters(region: NDArray[np.bool_], pixel_spacing_mm: tuple[float, float]) -> Diameters:
    """Return the diameters of a region [Y, X] with at least one pixel; the spacing is that of rows and of columns."""
    spacing = np.asarray(pixel_spacing_mm)
    inner = ndimage.binary_erosion(region)
    pixels = np.argwhere(region & ~inner)
    corners = (pixels[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).reshape(-1, 2) * spacing
    hull = corners[ConvexHull(corners).vertices]
    apart = squareform(pdist(hull))
    start, end = np.unravel_index(int(np.argmax(apart)), apart.shape)
    a = float(apart[start, end])

    along = (hull[end] - hull[start]) / a
    across = np.array([-along[1], along[0]])
    # B is measured in strips across A, one pixel wide; a pixel reaches half its own extent further.
    centres = (pixels + 0.5) * spacing
    place = (centres - hull[start]) @ along
    strip = np.floor(place / spacing.min()).astype(np.intp)
    strip -= strip.min()
    height = centres @ across
    top = np.full(strip.max() + 1, -np.inf)
    bottom = np.full(strip.max() + 1, np.inf)
    np.maximum.at(top, strip, height)
    np.minimum.at(bottom, strip, height)
    widest = int(np.argmax(top - bottom))
    reach = float(np.abs(across) @ spacing) / 2
    on_a = hull[start] @ along + float(place[strip == widest].mean())
    low, high = float(bottom[widest]) - reach, float(top[widest]) + reach
    return Diameters(
        long_mm=a,
        short_mm=high - low,
        long_ends=np.array([hull[start], hull[end]]) / spacing,
        short_ends=np.array([on_a * along + low * across, on_a * along + high * across]) / spacing,
    )
