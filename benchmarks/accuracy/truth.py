# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The truth of a simulated study as lesions: labelled voxels of one type, joined as the service joins what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.findings.abc2 import abc2_ml
from appliance.reading.contract import BRIGHTEST_CLOT_HU, JOIN_MM, TYPES, HemorrhageType
from appliance.reading.pieces import join_pieces, pieces
from benchmarks.accuracy.volume import coordinates_mm
from simulator.geometry import ScanGeometry

Crop = tuple[slice, slice, slice]

NEAR_MM: Final = 3.0
FAR_MM: Final = 8.0
"""The tissue that a lesion is compared with lies between these distances, in its slices, mm."""
TISSUE_HU: Final = (-10.0, 80.0)
"""Bone, air and fat are no tissue to compare with."""
FEWEST_VOXELS: Final = 20


@dataclass(frozen=True)
class Labelled:
    """One true lesion: `blood` bool over the `crop` of the series."""

    type: HemorrhageType
    crop: Crop
    blood: NDArray[np.bool_] = field(repr=False)

    def volume_ml(self, geometry: ScanGeometry) -> float:
        """Return the volume of its voxels, mL."""
        return float(np.count_nonzero(self.blood, axis=(1, 2)) @ geometry.voxel_ml[self.crop[0]])

    def abc2_ml(self, geometry: ScanGeometry) -> float | None:
        """Return what ABC/2 makes of its voxels, mL, for IPH; None for other types."""
        if self.type is not HemorrhageType.IPH:
            return None
        return abc2_ml(self.blood, geometry.pixel_spacing_mm, geometry.spans_mm[self.crop[0]])


def true_lesions(labels: NDArray[np.uint8], geometry: ScanGeometry) -> Iterator[Labelled]:
    """Yield the lesions of labels [Z, Y, X], type by type."""
    along, rows, columns = coordinates_mm(geometry)
    for kind in TYPES:
        blood = labels == kind.label
        found = ndimage.find_objects(blood.astype(np.uint8))
        if not found:
            continue
        z, y, x = box = found[0]
        numbered, count = pieces(blood[box])
        lesion_of = join_pieces(numbered, count, (along[z], rows[z, y], columns[z, x]), JOIN_MM)[numbered]
        for number, part in enumerate(ndimage.find_objects(lesion_of), 1):
            crop = tuple(slice(w.start + p.start, w.start + p.stop) for w, p in zip(box, part, strict=True))
            yield Labelled(kind, (crop[0], crop[1], crop[2]), lesion_of[part] == number)


def contrast_hu(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], lesion: Labelled, geometry: ScanGeometry
) -> float | None:
    """Return how much brighter a lesion is than the tissue beside it in its slices, HU; None where there is too little.

    `hu` and `labels` are [Z, Y, X]. Labelled voxels of any type are no tissue to compare with.
    """
    dy, dx = geometry.pixel_spacing_mm
    margin = (int(FAR_MM / dy) + 1, int(FAR_MM / dx) + 1)
    z, y, x = lesion.crop
    wide = (
        slice(max(0, y.start - margin[0]), min(geometry.rows, y.stop + margin[0])),
        slice(max(0, x.start - margin[1]), min(geometry.columns, x.stop + margin[1])),
    )
    inside, beside = [], []
    for k in range(z.start, z.stop):
        blood = np.zeros((geometry.rows, geometry.columns), bool)
        blood[y, x] = lesion.blood[k - z.start]
        blood = blood[wide]
        if not blood.any():
            continue
        plane = hu[k][wide].astype(np.float32)
        away = ndimage.distance_transform_edt(~blood, sampling=(dy, dx))
        tissue = (away >= NEAR_MM) & (away <= FAR_MM) & (labels[k][wide] == 0)
        tissue &= (plane > TISSUE_HU[0]) & (plane < TISSUE_HU[1])
        inside.append(plane[blood & (plane < BRIGHTEST_CLOT_HU)])
        beside.append(plane[tissue])
    clot, around = np.concatenate(inside), np.concatenate(beside)
    return float(clot.mean() - around.mean()) if clot.size and around.size >= FEWEST_VOXELS else None
