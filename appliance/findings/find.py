# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the detector's reading to the study's answer: lesions in 3-D with type, volume, size class and confidence.

The study is positive if any detection on any slice reaches the threshold (paper, "Statistical Analysis").
`appliance/reading/lesions.py` decides which voxels are blood and which of them are one lesion; networks are judged by
it too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.findings.abc2 import abc2_ml
from appliance.findings.finding import Finding, Lesion, LesionMap
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.reading.contract import TYPES, HemorrhageType, SizeClass
from appliance.reading.lesions import Criteria, Extent, lesions
from appliance.reading.masks import only_clot, patch
from appliance.reading.pieces import CoordinatesMm, sheared_coordinates_mm


def find(reading: Reading, volume: Volume, criteria: Criteria) -> Finding:
    """Return the answer about a volume; a positive study has at least one lesion (see `masks.only_clot`)."""
    sure, unsure = criteria.may_count(reading.detections)
    matrix = (volume.hu.shape[1], volume.hu.shape[2])
    patches = [
        only_clot(patch(one, matrix, volume.pixel_spacing_mm), volume.hu[one.slice_index], volume.pixel_spacing_mm)
        for one in (*sure, *unsure)
    ]
    found, counted = lesions(patches, volume.hu.shape, _coordinates_mm(volume), criteria)
    voxels = [np.asarray(np.count_nonzero(one.blood, axis=(1, 2))) for one in found]
    volumes_ml = [_volume_ml(one, count, volume) for one, count in zip(found, voxels, strict=True)]
    order = sorted(range(len(found)), key=lambda index: (-volumes_ml[index], TYPES.index(found[index].type), index))
    # Only the memory pages with blood are ever written, so the empty voxels of a long study cost nothing.
    lesion_map: LesionMap = np.zeros(volume.hu.shape, np.uint8 if len(found) <= np.iinfo(np.uint8).max else np.uint16)
    for number, index in enumerate(order, 1):
        lesion_map[found[index].crop][found[index].blood] = number
    return Finding(
        present=bool(sure),
        probability=max((one.score for one in reading.detections), default=0.0),
        criteria=criteria,
        counted=tuple(one.detection for one in counted),
        lesions=tuple(
            _lesion(number, found[index], voxels[index], volumes_ml[index], volume)
            for number, index in enumerate(order, 1)
        ),
        lesion_map=lesion_map,
    )


def _volume_ml(extent: Extent, voxels: NDArray[np.intp], volume: Volume) -> float:
    """Return pixel area times the distance between positions, slice by slice, in mL.

    `voxels` is the number of voxels of blood on each slice of the extent's crop.
    """
    voxel_ml = np.prod(volume.pixel_spacing_mm) * volume.slice_spans_mm[extent.crop[0]] / 1000
    return float((voxels * voxel_ml).sum())


def _lesion(number: int, extent: Extent, voxels: NDArray[np.intp], volume_ml: float, volume: Volume) -> Lesion:
    """Return the facts of a lesion; `voxels` as in `_volume_ml`."""
    touched = np.flatnonzero(voxels)
    return Lesion(
        number=number,
        type=extent.type,
        volume_ml=volume_ml,
        abc2_ml=abc2_ml(extent.blood, volume.pixel_spacing_mm, volume.slice_spans_mm[extent.crop[0]])
        if extent.type is HemorrhageType.IPH
        else None,
        size_class=SizeClass.of(volume_ml),
        confidence=extent.confidence,
        slices=tuple(int(index) for index in touched + extent.crop[0].start),
        voxels=tuple(int(count) for count in voxels[touched]),
    )


def _coordinates_mm(volume: Volume) -> CoordinatesMm:
    """Return where voxels lie: slices along the normal [Z], rows [Z, Y] and columns [Z, X], mm.

    Slices of a tilted gantry are shifted in their plane; only differences of these coordinates are meaningful.
    """
    along_row, along_column = volume.directions
    shift = volume.origins_mm - volume.origins_mm[0]
    along_columns, along_rows = shift @ along_row, shift @ along_column
    turn = volume.turn
    shift_y, shift_x = (along_columns, along_rows) if turn.transpose else (along_rows, along_columns)
    shift_y = -shift_y if turn.flip_y else shift_y
    shift_x = -shift_x if turn.flip_x else shift_x
    return sheared_coordinates_mm(volume.hu.shape, volume.positions_mm, (shift_y, shift_x), volume.pixel_spacing_mm)
