# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Missed lesions of whole studies: labelled blood that no sure detection touches.

Bleeding heads are drawn by their type and size (`batches.chance`), which says nothing of what this network still
misses: of two small bleeds it may have learnt the one long ago. What a reading of the whole head misses is shown again,
a small lesion as often as a large one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.reading.contract import JOIN_MM, MATRIX, TYPES
from appliance.reading.detections import Run, study_detections
from appliance.reading.masks import patch
from appliance.reading.pieces import even_coordinates_mm, join_pieces, pieces
from training.found_places import FoundPlaces, Place
from training.heads import Head

FILE: Final = "missed-lesions.json"
SURE: Final = 0.9
"""The class score from which a detection finds a lesion: what is below makes no study positive at a threshold that
heads without blood seldom pass."""
SLICES_A_PLACE: Final = 6
"""A lesion has a place in so many slices, as a crop shows no more of it."""
LEAST_ML: Final = 0.05
LEAST_CONTRAST_HU: Final = 8.0
"""What holds less blood, or is by less brighter than the tissue beside it in its slices, cannot be told from noise, and
to be shown it again and again would teach noise: false alarms in other heads. Specks at the vertex are among them."""
NEAR_PX: Final = 4
FAR_PX: Final = 14
"""The tissue beside a lesion lies between these distances, in its slices: beyond the blur of its edge."""
TISSUE_HU: Final = (-10, 80)
"""Bone, air and fat are no tissue to compare with."""
MOST_A_HEAD: Final = 8
"""Lesions of a head, the largest: the specks of one injured head shall not crowd out all others."""


class MissedLesions(FoundPlaces):
    """The missed lesions of a run, kept in its folder."""

    def __init__(self, folder: Path):
        super().__init__(folder, FILE)

    def concerns(self, head: Head) -> bool:
        """Return whether a head has blood."""
        return head.diagnosis != "none"

    def search(self, detect: Run, head: Head) -> list[Place]:
        """Return a place on each missed lesion of a head, several on a tall one."""
        return missed_lesions(detect, head)


def missed_lesions(detect: Run, head: Head) -> list[Place]:
    """Return voxels [z, y, x] of the lesions of a head that no sure detection of a detector touches.

    A lesion is labelled blood of one type, joined as the service joins what it finds; a detection may call it another
    type. One that cannot be seen (`LEAST_ML`, `LEAST_CONTRAST_HU`) is not missed.
    """
    hu, labels = head.own_scan()
    touched = np.zeros(labels.shape, np.bool_)
    for one in study_detections(detect, hu):
        if one.score >= SURE:
            mask = patch(one, (MATRIX, MATRIX))
            touched[mask.window] |= mask.blood
    # Slices of a stored head are as thick as they lie apart, but for scanners whose slices overlap by a little.
    spacing = (float(np.mean(head.scan.thickness_mm)), *head.scan.pixel_spacing_mm)
    missed = []
    for kind in TYPES:
        numbered, count = pieces(labels == kind.label)
        if not count:
            continue
        lesion_of = join_pieces(numbered, count, even_coordinates_mm(labels.shape, spacing), JOIN_MM)[numbered]
        found = np.unique(lesion_of[touched])
        voxels = np.argwhere(lesion_of)
        numbers = lesion_of[tuple(voxels.T)]
        missed += [voxels[numbers == number] for number in np.setdiff1d(np.unique(numbers), found)]
    voxel_ml = float(np.prod(spacing)) / 1000
    missed = [
        voxels
        for voxels in missed
        if len(voxels) * voxel_ml >= LEAST_ML and contrast_hu(hu, labels, voxels) >= LEAST_CONTRAST_HU
    ]
    missed = sorted(missed, key=len, reverse=True)[:MOST_A_HEAD]
    return [place for voxels in missed for place in _places(voxels)]


def contrast_hu(hu: NDArray[np.int16], labels: NDArray[np.uint8], voxels: NDArray[np.intp]) -> float:
    """Return how much brighter a lesion's voxels [N, 3] are than the tissue beside them in their slices, HU.

    `hu` and `labels` are [Z, Y, X]; blood is no tissue to compare with. Infinite where there is no tissue beside it: a
    lesion that fills its surroundings is no speck.
    """
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    box = (
        slice(int(low[0]), int(high[0])),
        *(slice(max(0, int(low[axis]) - FAR_PX), int(high[axis]) + FAR_PX) for axis in (1, 2)),
    )
    lesion = np.zeros(hu[box].shape, np.bool_)
    lesion[tuple((voxels - [part.start for part in box]).T)] = True
    away = np.stack(
        [ndimage.distance_transform_edt(~plane) if plane.any() else np.full(plane.shape, np.inf) for plane in lesion]
    )
    around = hu[box]
    beside = (away > NEAR_PX) & (away <= FAR_PX) & (labels[box] == 0)
    beside &= (around > TISSUE_HU[0]) & (around < TISSUE_HU[1])
    if not beside.any():
        return float("inf")
    return float(np.mean(around[lesion]) - np.mean(around[beside]))


def _places(voxels: NDArray[np.intp]) -> list[Place]:
    """Return some of the voxels [N, 3] of a lesion: of each part of `SLICES_A_PLACE` slices one, where it is widest."""
    first = int(voxels[:, 0].min())
    part_of = (voxels[:, 0] - first) // SLICES_A_PLACE
    places = []
    for part in np.unique(part_of):
        within = voxels[part_of == part]
        widest = np.bincount(within[:, 0]).argmax()
        there = within[within[:, 0] == widest]
        middle = np.linalg.norm(there - there.mean(axis=0), axis=1).argmin()
        places.append([int(v) for v in there[middle]])
    return places
