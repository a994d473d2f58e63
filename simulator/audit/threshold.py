# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector that needs no learning: the largest connected piece above 60 HU inside the skull.

Were it good, blood would be too bright, or heads too empty of what looks like it, and the network's figures would say
nothing. It leaves out what no reader would take for blood: partial volume of bone, where the vault or the base slopes
through a slice, lies where the slice above or below has bone inside this slice's cavity, or close to that. Counted in,
it was the largest piece of many a head, and the detector weaker than its idea. Along an upright wall nothing but a
rim of two pixels is left out: there lie subdural hemorrhages.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.audit.surroundings import skull_bone, skull_cavity
from simulator.geometry import ScanGeometry

THRESHOLD_HU: Final = 60.0
_BRIGHTEST_HU: Final = 110.0
_MEAN_MM: Final = 2.5
_BONE_REACH_MM: Final = 3.0


def largest_dense_ml(hu: NDArray[np.int16], geometry: ScanGeometry, threshold_hu: float = THRESHOLD_HU) -> float:
    """Return the volume (mL) of the largest connected piece above `threshold_hu` inside the skull.

    Slices are smoothed over 2.5 mm first, or noise would be all it finds. What is brighter than blood can be does not
    count (bone, most of its partial volume, calcium), nor a rim of two pixels along the skull, nor what lies within
    3 mm of where the skull of the next slice stands inside the cavity of this one.
    """
    size = tuple(max(1, round(_MEAN_MM / spacing)) for spacing in geometry.pixel_spacing_mm)
    smooth = ndimage.uniform_filter(np.clip(hu, -100, 300).astype(np.float32), (0, *size))
    cavity = skull_cavity(hu)
    dense = (smooth > threshold_hu) & (smooth < _BRIGHTEST_HU) & cavity & ~_beside_slope(hu, cavity, geometry)
    pieces, count = ndimage.label(dense)
    if not count:
        return 0.0
    volumes = np.bincount(pieces.ravel(), weights=np.repeat(geometry.voxel_ml, hu[0].size))
    return float(volumes[1:].max())


def _beside_slope(hu: NDArray[np.int16], cavity: NDArray[np.bool_], geometry: ScanGeometry) -> NDArray[np.bool_]:
    """Return what lies within 3 mm, in-plane, of where the next slice has skull in this `cavity`, bool [Z, Y, X]."""
    skull = skull_bone(hu)
    slope = np.zeros_like(cavity)
    slope[1:] |= skull[:-1]
    slope[:-1] |= skull[1:]
    slope &= cavity
    return np.stack(
        [
            ndimage.distance_transform_edt(~plane, sampling=geometry.pixel_spacing_mm) <= _BONE_REACH_MM
            if plane.any()
            else plane
            for plane in slope
        ]
    )
