# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""From a study's detections to its voxels of blood, by the rule of the service.

Two thresholds: a detection at the first counts, and one that only reaches the second counts where it belongs to a
lesion that holds one at the first. The service has its own code for this (`appliance/findings/find.py`, with lesions,
volumes and any geometry), which nothing here may import; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from appliance.reading.contract import EXTEND_SCORE, JOIN_MM, MATRIX
from training.pasting import blood, pasted


@dataclass(frozen=True)
class StudyDetection:
    """One detection: its slice in the study, box [4] in pixels, scores [3], mask [56, 56] of its best type."""

    slice_index: int
    box: NDArray[np.float32]
    scores: NDArray[np.float32]
    mask: NDArray[np.float32]

    @property
    def score(self) -> float:
        """The score of its best type."""
        return float(self.scores.max())

    @property
    def label(self) -> int:
        """The label of its best type."""
        return int(self.scores.argmax()) + 1


@dataclass(frozen=True)
class _Claim:
    """A detection's blood in its window of the volume, bool [h, w], and how strongly it is claimed, float32 [h, w]."""

    label: int
    window: tuple[int, slice, slice]
    blood: NDArray[np.bool_]
    strength: NDArray[np.float32]


def label_volume(
    found: Iterable[StudyDetection], slices: int, threshold: float, spacing_mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Return the labels [slices, 512, 512] that detections give; `spacing_mm` are the distances of voxels (z, y, x).

    Over a voxel the claim with the highest score times probability wins, but never one of a detection below the
    threshold over one at it.
    """
    volume = np.zeros((slices, MATRIX, MATRIX), np.uint8)
    sure: list[_Claim] = []
    unsure: list[_Claim] = []
    for one in found:
        if one.score >= min(EXTEND_SCORE, threshold):
            (sure if one.score >= threshold else unsure).append(_claimed(one))
    _take(volume, sure)
    lesions: dict[int, NDArray[np.bool_]] = {}
    extending: list[_Claim] = []
    for label in sorted({one.label for one in sure} & {one.label for one in unsure}):
        less_sure = [one for one in unsure if one.label == label]
        lesions[label] = _extended(volume, label, less_sure, spacing_mm)
        extending += [replace(one, blood=one.blood & lesions[label][one.window]) for one in less_sure]
    taken = volume.copy()
    _take(taken, extending)
    for label, lesion in lesions.items():
        volume[lesion & (taken == label)] = label
    return volume


def _claimed(detection: StudyDetection) -> _Claim:
    (rows, columns), probability = pasted(detection.box, detection.mask, (MATRIX, MATRIX))
    strength = probability * np.float32(detection.score)
    return _Claim(detection.label, (detection.slice_index, rows, columns), blood(probability), strength)


def _take(volume: NDArray[np.uint8], claims: list[_Claim]) -> None:
    """Write the labels of the strongest claims into the voxels of `volume` [Z, Y, X] that have none (0) yet."""
    strongest: dict[int, NDArray[np.float32]] = {}
    free = [one.blood & (volume[one.window] == 0) for one in claims]
    for one, its in zip(claims, free, strict=True):
        z, rows, columns = one.window
        plane = strongest.setdefault(z, np.full(volume.shape[1:], -1, np.float32))
        wins = its & (one.strength > plane[rows, columns])
        plane[rows, columns][wins] = one.strength[wins]
        volume[one.window][wins] = one.label


def _extended(
    volume: NDArray[np.uint8], label: int, less_sure: list[_Claim], spacing_mm: tuple[float, float, float]
) -> NDArray[np.bool_]:
    """Return the lesions bool [Z, Y, X] of a label that `volume` holds, with what less sure claims add to them.

    Voxels that touch (26 neighbours) are one piece, and pieces within `JOIN_MM` of each other are one lesion.
    """
    both: NDArray[np.bool_] = np.asarray(volume == label)
    for one in less_sure:
        held = volume[one.window]
        both[one.window] |= one.blood & ((held == 0) | (held == label))
    pieces, _ = ndimage.label(both, np.ones((3, 3, 3), bool))
    places = np.nonzero(both)
    piece, points = pieces[places], np.stack(places, axis=1) * np.asarray(spacing_mm)
    reached = newly = np.isin(piece, piece[volume[places] == label])
    while newly.any() and not reached.all():
        nearest, _ = cKDTree(points[newly]).query(points[~reached], distance_upper_bound=np.nextafter(JOIN_MM, np.inf))
        newly = np.isin(piece, piece[~reached][np.isfinite(nearest)])
        reached = reached | newly
    both[places] = reached
    return both
