# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the detector's reading to the study's answer: lesions in 3-D with type, volume, size class and confidence.

The study is positive if any detection on any slice reaches the threshold (paper, "Statistical Analysis"). Two
thresholds say which voxels are blood (hysteresis): what such a detection holds, and what less sure ones add to the
same lesion.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.findings.abc2 import abc2_ml
from appliance.findings.clusters import clusters
from appliance.findings.finding import Criteria, Finding, Lesion, LesionMap
from appliance.findings.masks import Patch, patch
from appliance.findings.pieces import Numbers, joined, pieces
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.reading.contract import TYPES, HemorrhageType, SizeClass

Crop = tuple[slice, slice, slice]


def find(reading: Reading, volume: Volume, criteria: Criteria) -> Finding:
    """Return the answer about a volume.

    Detections whose highest class score reaches the threshold count; those that only reach `extend_score` count where
    they belong to a lesion that holds one at the threshold. A voxel that detections of several types claim goes to
    the one with the highest confidence times mask probability, but never from one at the threshold to one below it.
    Pieces of one type within `join_mm` of each other are one lesion. A positive study has at least one lesion (see
    `masks.patch`).
    """
    sure, unsure = _patches(reading, volume, criteria)
    labels = np.zeros(volume.hu.shape, np.uint8)
    _claim(labels, sure)
    found, extending = _found(labels, sure + unsure, volume, criteria)
    if len({one.type for one in extending}) > 1:  # over a voxel that both extend to, one lesion gives way to the other
        _claim(labels, extending)
        for one in found:
            np.logical_and(one.blood, labels[one.crop] == one.type.label, out=one.blood)
    del labels  # as large as the lesion map that is made next
    volumes_ml = [one.volume_ml(volume) for one in found]
    order = sorted(range(len(found)), key=lambda index: (-volumes_ml[index], TYPES.index(found[index].type), index))
    # Only the pages that hold blood are ever written: a long study does not pay for its empty voxels.
    lesion_map: LesionMap = np.zeros(volume.hu.shape, np.uint8 if len(found) <= np.iinfo(np.uint8).max else np.uint16)
    for number, index in enumerate(order, 1):
        lesion_map[found[index].crop][found[index].blood] = number
    return Finding(
        present=bool(sure),
        probability=max((one.score for one in reading.detections), default=0.0),
        criteria=criteria,
        counted=tuple(one.detection for one in (*sure, *extending)),
        lesions=tuple(found[index].lesion(number, volumes_ml[index], volume) for number, index in enumerate(order, 1)),
        lesion_map=lesion_map,
    )


@dataclass(frozen=True)
class _Found:
    """A lesion before it has its number: `blood` bool over the volume's `crop`."""

    type: HemorrhageType
    crop: Crop
    blood: NDArray[np.bool_]
    confidence: float

    @cached_property
    def voxels_by_slice(self) -> NDArray[np.intp]:
        """How many voxels of blood there are on each slice of the crop; asked for once `blood` is settled."""
        return np.asarray(np.count_nonzero(self.blood, axis=(1, 2)))

    def volume_ml(self, volume: Volume) -> float:
        """Return pixel area times the distance between positions, slice by slice, in mL."""
        voxel_ml = np.prod(volume.pixel_spacing_mm) * volume.slice_spans_mm[self.crop[0]] / 1000
        return float((self.voxels_by_slice * voxel_ml).sum())

    def lesion(self, number: int, volume_ml: float, volume: Volume) -> Lesion:
        """Return the lesion with its number."""
        touched = np.flatnonzero(self.voxels_by_slice)
        return Lesion(
            number=number,
            type=self.type,
            volume_ml=volume_ml,
            abc2_ml=abc2_ml(self.blood, volume.pixel_spacing_mm, volume.slice_spans_mm[self.crop[0]])
            if self.type is HemorrhageType.IPH
            else None,
            size_class=SizeClass.of(volume_ml),
            confidence=self.confidence,
            slices=tuple(int(index) for index in touched + self.crop[0].start),
            voxels=tuple(int(count) for count in self.voxels_by_slice[touched]),
        )


def _patches(reading: Reading, volume: Volume, criteria: Criteria) -> tuple[list[Patch], list[Patch]]:
    """Return the masks of the detections at the threshold, and of those below it that may extend their lesions."""
    matrix = (volume.hu.shape[1], volume.hu.shape[2])
    sure = [one for one in reading.detections if one.score >= criteria.threshold]
    types = {one.type for one in sure}
    unsure = [
        one
        for one in reading.detections
        if criteria.extend_score <= one.score < criteria.threshold and one.type in types
    ]
    return [patch(one, matrix) for one in sure], [patch(one, matrix) for one in unsure]


def _claim(labels: NDArray[np.uint8], patches: Sequence[Patch]) -> None:
    """Write the types of patches into the voxels of `labels` [Z, Y, X] that have none (0) yet.

    The claim with the highest confidence times probability wins a voxel.
    """
    claim = np.empty(labels.shape[1:], np.float32)
    for index in sorted({one.slice_index for one in patches}):
        claim.fill(-1)
        on_slice = [(one, one.blood & (labels[one.window] == 0)) for one in patches if one.slice_index == index]
        for one, free in on_slice:
            _, rows, columns = one.window
            strength = one.probability * np.float32(one.score)
            wins = free & (strength > claim[rows, columns])
            claim[rows, columns][wins] = strength[wins]
            labels[one.window][wins] = one.type.label


def _found(
    labels: NDArray[np.uint8], patches: list[Patch], volume: Volume, criteria: Criteria
) -> tuple[list[_Found], list[Patch]]:
    """Return the lesions of all types, and the patches below the threshold with what of them belongs to one.

    `labels` [Z, Y, X] hold the types of the patches at the threshold. Lesions of two types may extend over the same
    voxel; blood without a voxel of a patch at the threshold is no lesion.
    """
    coordinates_mm = _coordinates_mm(volume)
    along, rows, columns = coordinates_mm
    found: list[_Found] = []
    extending: list[Patch] = []
    for type_ in TYPES:
        for cluster in clusters([one for one in patches if one.type is type_], coordinates_mm, criteria.join_mm):
            sure = [one for one in cluster if one.score >= criteria.threshold]
            if not sure:
                continue
            crop = z, y, x = _crop(cluster)
            numbered, count = pieces(_blood(labels, cluster, crop))
            lesion_of = joined(numbered, count, (along[z], rows[z, y], columns[z, x]), criteria.join_mm)
            for plane in numbered:  # in place: a block of scattered blood may be as large as the volume
                plane[...] = lesion_of[plane]
            confidence: dict[int, float] = {}
            for one in sure:
                for number in _touched(one, crop, numbered):
                    confidence[number] = max(confidence.get(number, 0.0), one.score)
            for one in (one for one in cluster if one.score < criteria.threshold):
                # Only where it extends: a piece of it that reaches no lesion takes no voxel from another type's.
                held = one.blood & np.isin(numbered[one.window_in(crop)], list(confidence))
                if held.any():
                    extending.append(replace(one, blood=held))
            found += _cut_out(type_, crop, numbered, confidence)
    return found, extending


def _blood(labels: NDArray[np.uint8], patches: list[Patch], crop: Crop) -> NDArray[np.bool_]:
    """Return the blood of patches of one type in a block of `labels` [Z, Y, X], but for what other types hold there."""
    blood = np.zeros([one.stop - one.start for one in crop], bool)
    for one in patches:
        held = labels[one.window]
        blood[one.window_in(crop)] |= one.blood & ((held == 0) | (held == one.type.label))
    return blood


def _touched(one: Patch, crop: Crop, lesion_of: Numbers) -> list[int]:
    """Return the numbers of the lesions, in a block of the volume, that a patch's blood shares voxels with."""
    numbers = np.flatnonzero(np.bincount(lesion_of[one.window_in(crop)][one.blood]))
    return [int(number) for number in numbers if number]


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


def _cut_out(type_: HemorrhageType, crop: Crop, lesion_of: Numbers, confidence: Mapping[int, float]) -> list[_Found]:
    """Return each lesion of a block [Z, Y, X] of lesion numbers (0 is none) with a confidence, cropped to itself."""
    found = []
    for number, box in enumerate(ndimage.find_objects(lesion_of), 1):
        if number in confidence:
            z, y, x = (
                slice(whole.start + part.start, whole.start + part.stop) for whole, part in zip(crop, box, strict=True)
            )
            found.append(_Found(type_, (z, y, x), lesion_of[box] == number, confidence[number]))
    return found
