# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a voxel's label says, and the volume that labels have: the one definition.

A voxel is labelled with a type when blood of that type fills at least half of it, or raises it by at least half of the
highest rise in that slice and at least 8 HU. Where types meet, the higher fraction wins. Volumes are those of labelled
voxels, as with masks drawn by hand. Blood in a ventricle counts as intraparenchymal.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.contract import TYPES, HemorrhageType
from training.simulator.geometry import ScanGeometry

Field = NDArray[np.float32]

LABEL_FRACTION = 0.5
LABEL_RISE_HU = 8.0


def labelled(fractions: dict[HemorrhageType, tuple[Field, Field]], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the labels uint8 [Z, Y, X] of blood fractions and rises, by the definition above."""
    labels = np.zeros(shape, np.uint8)
    best = np.zeros(shape, np.float32)
    for kind in TYPES:
        if kind not in fractions:
            continue
        fraction, rise = fractions[kind]
        peak = rise.max(axis=(1, 2), keepdims=True)
        seen = (fraction >= LABEL_FRACTION) | ((rise >= 0.5 * peak) & (rise >= LABEL_RISE_HU))
        wins = seen & (fraction > best)
        labels[wins] = kind.label
        best[wins] = fraction[wins]
    return labels


def volumes_ml(labels: NDArray[np.uint8], geometry: ScanGeometry) -> dict[HemorrhageType, float]:
    """Return the volume (mL) of the labelled voxels of each type that occurs."""
    per_plane = {kind: (labels == kind.label).sum(axis=(1, 2)) @ geometry.voxel_ml for kind in TYPES}
    return {kind: float(volume) for kind, volume in per_plane.items() if volume > 0}
