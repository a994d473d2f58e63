# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the detector's reading to the study's answer: lesions in 3-D with type, volume, size class and confidence.

The study is positive if any detection on any slice reaches the threshold (paper, "Statistical Analysis").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.contract import TYPES, HemorrhageType
from appliance.findings.abc2 import abc2_ml
from appliance.findings.finding import Finding, Lesion, LesionMap, SizeClass
from appliance.findings.masks import Patch, patch
from appliance.findings.pieces import joined, pieces
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading

Crop = tuple[slice, slice, slice]


def find(reading: Reading, volume: Volume, threshold: float, join_mm: float) -> Finding:
    """Return the answer about a volume.

    Detections whose highest class score reaches `threshold` count. A voxel that detections of several types claim goes
    to the one with the highest confidence times mask probability. Pieces of one type within `join_mm` of each other
    are one lesion. A positive study has at least one lesion (see `masks.patch`).
    """
    patches = [
        patch(detection, (volume.hu.shape[1], volume.hu.shape[2]))
        for detection in reading.detections
        if detection.score >= threshold
    ]
    found = _found(patches, volume, join_mm)
    # Only the pages that hold blood are ever written: a long study does not pay for its empty voxels.
    lesion_map: LesionMap = np.zeros(volume.hu.shape, np.uint8 if len(found) <= np.iinfo(np.uint8).max else np.uint16)
    order = sorted(
        range(len(found)), key=lambda index: (-found[index].volume_ml, TYPES.index(found[index].type), index)
    )
    for number, index in enumerate(order, 1):
        lesion_map[found[index].crop][found[index].blood] = number
    confidence = _confidences(patches, [found[index].type for index in order], lesion_map)
    return Finding(
        present=bool(patches),
        probability=max((detection.score for detection in reading.detections), default=0.0),
        threshold=threshold,
        lesions=tuple(
            found[index].lesion(number, confidence[number - 1], volume) for number, index in enumerate(order, 1)
        ),
        lesion_map=lesion_map,
    )


@dataclass(frozen=True)
class _Found:
    """A lesion before it has its number: `blood` bool over the volume's `crop`."""

    type: HemorrhageType
    crop: Crop
    blood: NDArray[np.bool_]
    volume_ml: float

    def lesion(self, number: int, confidence: float, volume: Volume) -> Lesion:
        """Return the lesion with its number."""
        touched = np.flatnonzero(self.blood.any(axis=(1, 2))) + self.crop[0].start
        return Lesion(
            number=number,
            type=self.type,
            volume_ml=self.volume_ml,
            abc2_ml=abc2_ml(self.blood, volume.pixel_spacing_mm, volume.slice_spans_mm[self.crop[0]])
            if self.type is HemorrhageType.IPH
            else None,
            size_class=SizeClass.of(self.volume_ml),
            confidence=confidence,
            slices=tuple(int(index) for index in touched),
        )


def _found(patches: list[Patch], volume: Volume, join_mm: float) -> list[_Found]:
    """Return the lesions of all types."""
    labels = _labels(patches, volume.hu.shape)
    along, rows, columns = _coordinates_mm(volume)
    found = []
    for type_ in TYPES:
        of_type = [one for one in patches if one.type is type_]
        if not of_type:
            continue
        crop = _crop(of_type)
        numbered, count = pieces(labels[crop] == type_.label)
        lesion_of = joined(
            numbered, count, (along[crop[0]], rows[crop[0], crop[1]], columns[crop[0], crop[2]]), join_mm
        )
        for plane in numbered:  # in place: a block of scattered blood may be as large as the volume
            plane[...] = lesion_of[plane]
        found += _cut_out(type_, crop, numbered, volume)
    return found


def _labels(patches: list[Patch], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the type's label per voxel [Z, Y, X]: the claim with the highest confidence times probability wins."""
    labels = np.zeros(shape, np.uint8)
    claim = np.empty(shape[1:], np.float32)
    for index in sorted({one.slice_index for one in patches}):
        claim.fill(-1)
        for one in (one for one in patches if one.slice_index == index):
            _, rows, columns = one.window
            strength = one.probability * np.float32(one.score)
            wins = one.blood & (strength > claim[rows, columns])
            claim[rows, columns][wins] = strength[wins]
            labels[one.window][wins] = one.type.label
    return labels


def _coordinates_mm(volume: Volume) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return where voxels lie: slices along the normal [Z], rows [Z, Y] and columns [Z, X], mm.

    Slices of a tilted gantry are shifted in their plane; only differences of these coordinates mean anything.
    """
    orientation = np.asarray(volume.headers[0].ImageOrientationPatient, np.float64)
    origins = np.array([header.ImagePositionPatient for header in volume.headers], np.float64)
    shift = origins - origins[0]
    along_columns, along_rows = shift @ orientation[:3], shift @ orientation[3:]
    turn = volume.turn
    shift_y, shift_x = (along_columns, along_rows) if turn.transpose else (along_rows, along_columns)
    shift_y = -shift_y if turn.flip_y else shift_y
    shift_x = -shift_x if turn.flip_x else shift_x
    _, height, width = volume.hu.shape
    spacing_y, spacing_x = volume.pixel_spacing_mm
    return (
        volume.positions_mm,
        shift_y[:, None] + np.arange(height) * spacing_y,
        shift_x[:, None] + np.arange(width) * spacing_x,
    )


def _crop(patches: list[Patch]) -> Crop:
    """Return the smallest block of the volume that holds all patches."""
    first = min(one.slice_index for one in patches)
    last = max(one.slice_index for one in patches)
    return (
        slice(first, last + 1),
        slice(min(one.y for one in patches), max(one.window[1].stop for one in patches)),
        slice(min(one.x for one in patches), max(one.window[2].stop for one in patches)),
    )


def _cut_out(type_: HemorrhageType, crop: Crop, lesion_of: NDArray[np.int32], volume: Volume) -> list[_Found]:
    """Return each lesion of a block [Z, Y, X] of lesion numbers (0 is none), cropped to itself."""
    voxel_ml = np.prod(volume.pixel_spacing_mm) * volume.slice_spans_mm / 1000
    found = []
    for number, box in enumerate(ndimage.find_objects(lesion_of), 1):
        blood = lesion_of[box] == number
        z, y, x = (
            slice(whole.start + part.start, whole.start + part.stop) for whole, part in zip(crop, box, strict=True)
        )
        areas = np.count_nonzero(blood, axis=(1, 2))
        found.append(_Found(type_, (z, y, x), blood, float((areas * voxel_ml[z]).sum())))
    return found


def _confidences(patches: list[Patch], types: list[HemorrhageType], lesion_map: LesionMap) -> list[float]:
    """Return for each lesion number (from 1) the highest score among its type's detections that share blood with it."""
    confidence = [0.0] * len(types)
    for one in patches:
        for number in np.flatnonzero(np.bincount(lesion_map[one.window][one.blood])):
            if number and types[number - 1] is one.type:
                confidence[number - 1] = max(confidence[number - 1], one.score)
    return confidence
