# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""ABC/2, the bedside estimate of a parenchymal hemorrhage's volume (Kothari et al., Stroke 1996; the paper uses it as
its comparison, "ABC/2 formula of Kwak et al")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.findings.diameters import diameters

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
    ab = diameters(lesion[largest], pixel_spacing_mm)
    share = areas / areas[largest]
    grade = np.where(share >= WHOLE_SLICE, 1.0, np.where(share >= HALF_SLICE, 0.5, 0.0))
    c = float((grade * slice_spans_mm).sum())
    return ab.long_mm * ab.short_mm * c / 2 / 1000
