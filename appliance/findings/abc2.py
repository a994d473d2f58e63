# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""ABC/2, the bedside estimate of a parenchymal hemorrhage's volume (Kothari et al., Stroke 1996; the paper uses it as
its comparison, "ABC/2 formula of Kwak et al")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

WHOLE_SLICE = 0.75
HALF_SLICE = 0.25
"""The shares of the largest slice's area at which a slice counts whole, or half (inclusive)."""


def abc2_ml(
    lesion: NDArray[np.bool_], pixel_spacing_mm: tuple[float, float], slice_spans_mm: NDArray[np.float64]
) -> float:
    """Return ABC/2 in mL of a lesion [Z, Y, X] whose slices span `slice_spans_mm` [Z] along the normal.

    A is the longest diameter in the slice of largest area, B the longest one perpendicular to A in that slice, C the
    extent along the normal with each slice graded by its area.
    """
    areas = np.count_nonzero(lesion, axis=(1, 2))
    largest = int(np.argmax(areas))
    a, b = _diameters_mm(lesion[largest], pixel_spacing_mm)
    share = areas / areas[largest]
    grade = np.where(share >= WHOLE_SLICE, 1.0, np.where(share >= HALF_SLICE, 0.5, 0.0))
    c = float((grade * slice_spans_mm).sum())
    return a * b * c / 2 / 1000


def _diameters_mm(plane: NDArray[np.bool_], pixel_spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Return the longest diameter of a mask [Y, X] and the longest one perpendicular to it, outer edges, in mm."""
    spacing = np.asarray(pixel_spacing_mm)
    inner = ndimage.binary_erosion(plane)
    pixels = np.argwhere(plane & ~inner)
    corners = (pixels[:, None] + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])).reshape(-1, 2) * spacing
    hull = corners[ConvexHull(corners).vertices]
    apart = squareform(pdist(hull))
    start, end = np.unravel_index(int(np.argmax(apart)), apart.shape)
    a = float(apart[start, end])

    along = (hull[end] - hull[start]) / a
    across = np.array([-along[1], along[0]])
    # B is measured in strips across A, one pixel wide; a pixel reaches half its own extent further.
    centres = (pixels + 0.5) * spacing
    strip = np.floor((centres - hull[start]) @ along / spacing.min()).astype(np.intp)
    strip -= strip.min()
    height = centres @ across
    top = np.full(strip.max() + 1, -np.inf)
    bottom = np.full(strip.max() + 1, np.inf)
    np.maximum.at(top, strip, height)
    np.minimum.at(bottom, strip, height)
    b = float((top - bottom).max()) + float(np.abs(across) @ spacing)
    return a, b
