# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From the masks of a study's detections to lesions in 3-D: which voxels are blood, of which type, and of which lesion.

Two thresholds decide which voxels are blood (hysteresis): those of detections at the threshold, and those that less
sure detections add to the same lesion. `appliance/findings` computes volumes in mL.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.clusters import clusters
from appliance.reading.contract import TYPES, HemorrhageType
from appliance.reading.masks import Patch
from appliance.reading.pieces import CoordinatesMm, Numbers, join_pieces, pieces

Crop = tuple[slice, slice, slice]


class Scored(Protocol):
    """A detection, or its mask: of a type, with a class score."""

    @property
    def type(self) -> HemorrhageType:
        """The type with the highest score."""

    @property
    def score(self) -> float:
        """The highest class score."""


ScoredT = TypeVar("ScoredT", bound=Scored)


class SiteCriteria(Protocol):
    """What a site may set; see `Criteria`."""

    @property
    def threshold(self) -> float | None:
        """The class score from which a detection makes a study positive; None takes the model's suggestion."""

    @property
    def extend_score(self) -> float:
        """The class score from which a detection may extend a lesion."""

    @property
    def join_mm(self) -> float:
        """The distance within which pieces are one lesion."""


@dataclass(frozen=True)
class Criteria:
    """How sure detections must be to count, and how near pieces of blood must be to be one lesion.

    A detection whose score reaches `threshold` makes the study positive. One that only reaches `extend_score` counts if
    it belongs to a lesion with a detection at the threshold: where blood fades out, a network is less sure of it than
    the answer about a study requires. With `extend_score` equal to `threshold` nothing is extended. `join_mm` is the
    distance within which pieces of one type are one lesion.

    Raises `ValueError` when `extend_score` lies above `threshold`.
    """

    threshold: float
    extend_score: float
    join_mm: float

    def __post_init__(self) -> None:
        if self.extend_score > self.threshold:
            raise ValueError(f"extend_score {self.extend_score:g} lies above the threshold {self.threshold:g}")

    @classmethod
    def of(cls, settings: SiteCriteria, suggested_threshold: float) -> Criteria:
        """Return a site's criteria; without a threshold of the site, the model's suggestion is the threshold.

        A model may suggest less than the site's `extend_score`: then nothing is extended.
        """
        threshold = suggested_threshold if settings.threshold is None else settings.threshold
        return cls(threshold, min(settings.extend_score, threshold), settings.join_mm)

    @property
    def extends(self) -> bool:
        """Whether a detection below the threshold can count."""
        return self.extend_score < self.threshold

    def may_count(self, given: Iterable[ScoredT]) -> tuple[list[ScoredT], list[ScoredT]]:
        """Return the detections (or patches) at the threshold, and those below it that may extend a lesion of them."""
        given = tuple(given)
        sure = [one for one in given if one.score >= self.threshold]
        types = {one.type for one in sure}
        return sure, [one for one in given if self.extend_score <= one.score < self.threshold and one.type in types]


@dataclass(frozen=True)
class Extent:
    """Where a lesion's blood is: `blood` is bool over the volume's `crop`; `confidence` is the highest score among
    its detections."""

    type: HemorrhageType
    crop: Crop
    blood: NDArray[np.bool_]
    confidence: float


def lesions(
    patches: Iterable[Patch], shape: tuple[int, ...], coordinates_mm: CoordinatesMm, criteria: Criteria
) -> tuple[list[Extent], list[Patch]]:
    """Return the lesions in a volume of `shape` [Z, Y, X], and the patches that count, those at the threshold first.

    Patches whose score reaches the threshold count. Those that only reach `extend_score` count if they belong to a
    lesion with a patch at the threshold, and only with the blood that belongs to it. A voxel claimed by patches of
    several types goes to the one with the highest confidence times mask probability, but never from one at the
    threshold to one below it. Pieces of one type within `join_mm` of each other are one lesion. No voxel belongs to two
    lesions.

    `coordinates_mm` are the places of the voxels along the normal [Z], and of rows [Z, Y] and columns [Z, X].
    """
    sure, unsure = criteria.may_count(patches)
    labels = np.zeros(shape, np.uint8)
    _claim(labels, sure)
    found, extending = _find_extents(labels, sure + unsure, coordinates_mm, criteria)
    if (
        len({one.type for one in extending}) > 1
    ):  # where both extend to the same voxel, one lesion gives way to the other
        _claim(labels, extending)
        for one in found:
            np.logical_and(one.blood, labels[one.crop] == one.type.label, out=one.blood)
    return found, [*sure, *extending]


def type_labels(extents: Sequence[Extent], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the labels [Z, Y, X] of lesions: 0, or the label of the type."""
    labels = np.zeros(shape, np.uint8)
    for one in extents:
        labels[one.crop][one.blood] = one.type.label
    return labels


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


def _find_extents(
    labels: NDArray[np.uint8], patches: list[Patch], coordinates_mm: CoordinatesMm, criteria: Criteria
) -> tuple[list[Extent], list[Patch]]:
    """Return the lesions of all types, and the patches below the threshold with their blood that belongs to a lesion.

    `labels` [Z, Y, X] hold the types of the patches at the threshold. Lesions of two types may extend over the same
    voxel; blood without a voxel of a patch at the threshold is not a lesion.
    """
    along, rows, columns = coordinates_mm
    found: list[Extent] = []
    extending: list[Patch] = []
    for type_ in TYPES:
        for cluster in clusters([one for one in patches if one.type is type_], coordinates_mm, criteria.join_mm):
            sure = [one for one in cluster if one.score >= criteria.threshold]
            if not sure:
                continue
            crop = z, y, x = _crop(cluster)
            numbered, count = pieces(_blood(labels, cluster, crop))
            lesion_of = join_pieces(numbered, count, (along[z], rows[z, y], columns[z, x]), criteria.join_mm)
            for plane in numbered:  # in place: a block of scattered blood may be as large as the volume
                plane[...] = lesion_of[plane]
            confidence: dict[int, float] = {}
            for one in sure:
                for number in _touching_lesions(one, crop, numbered):
                    confidence[number] = max(confidence.get(number, 0.0), one.score)
            for one in (one for one in cluster if one.score < criteria.threshold):
                # Only where it extends a lesion: a piece that reaches no lesion takes no voxel from another type.
                held = one.blood & np.isin(numbered[one.window_in(crop)], list(confidence))
                if held.any():
                    extending.append(replace(one, blood=held))
            found += _cut_out(type_, crop, numbered, confidence)
    return found, extending


def _blood(labels: NDArray[np.uint8], patches: list[Patch], crop: Crop) -> NDArray[np.bool_]:
    """Return the blood of patches of one type in a block of `labels` [Z, Y, X], except where other types are."""
    blood = np.zeros([one.stop - one.start for one in crop], bool)
    for one in patches:
        held = labels[one.window]
        blood[one.window_in(crop)] |= one.blood & ((held == 0) | (held == one.type.label))
    return blood


def _touching_lesions(one: Patch, crop: Crop, lesion_of: Numbers) -> list[int]:
    """Return the numbers of the lesions, in a block of the volume, that a patch's blood shares voxels with."""
    numbers = np.flatnonzero(np.bincount(lesion_of[one.window_in(crop)][one.blood]))
    return [int(number) for number in numbers if number]


def _crop(patches: list[Patch]) -> Crop:
    """Return the smallest block of the volume that holds all patches."""
    first = min(one.slice_index for one in patches)
    last = max(one.slice_index for one in patches)
    return (
        slice(first, last + 1),
        slice(min(one.y for one in patches), max(one.window[1].stop for one in patches)),
        slice(min(one.x for one in patches), max(one.window[2].stop for one in patches)),
    )


def _cut_out(type_: HemorrhageType, crop: Crop, lesion_of: Numbers, confidence: Mapping[int, float]) -> list[Extent]:
    """Return each lesion of a block [Z, Y, X] of lesion numbers (0 is none) with a confidence, cropped to itself."""
    found = []
    for number, box in enumerate(ndimage.find_objects(lesion_of), 1):
        if number in confidence:
            z, y, x = (
                slice(whole.start + part.start, whole.start + part.stop) for whole, part in zip(crop, box, strict=True)
            )
            found.append(Extent(type_, (z, y, x), lesion_of[box] == number, confidence[number]))
    return found
