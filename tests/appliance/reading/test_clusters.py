# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Masks that may be of one lesion are looked at together, others apart."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from appliance.findings.find import find
from appliance.reading import clusters as clusters_module
from appliance.reading.clusters import clusters
from appliance.reading.contract import HemorrhageType
from appliance.reading.lesions import Criteria
from appliance.reading.masks import patch
from tests.appliance.phantom import boneless, detection, full, made_volume, reading_of

Coordinates = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
SLICES, MATRIX = 8, (64, 64)


def coordinates(shift_mm: float) -> Coordinates:
    """Places of voxels 5 x 2 x 2 mm in size, with rows that shift from slice to slice as under a tilted gantry."""
    z, y = np.arange(SLICES, dtype=np.float64), np.arange(MATRIX[0], dtype=np.float64)
    return z * 5, shift_mm * z[:, None] + y * 2, np.zeros((SLICES, 1)) + y * 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("shift_mm", [0.0, 3.0])
@pytest.mark.parametrize("join_mm", [0.0, 10.0])
@pytest.mark.parametrize("at_a_time", [5, 256])
def test_blood_of_two_clusters_neither_touches_nor_lies_within_the_joining_distance(
    seed: int, shift_mm: float, join_mm: float, at_a_time: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clusters_module, "AT_A_TIME", at_a_time)
    draw = np.random.default_rng(seed)
    corners = draw.integers(0, 460, (24, 2))
    sizes = draw.integers(4, 60, (24, 2))
    found = [
        patch(detection(int(z), (y, x, y + high, x + wide), mask=full()), MATRIX)
        for z, (y, x), (high, wide) in zip(draw.integers(0, SLICES, 24), corners, sizes, strict=True)
    ]
    at_mm = coordinates(shift_mm)
    groups = clusters(found, at_mm, join_mm)
    assert sorted(map(id, found)) == sorted(id(one) for group in groups for one in group)
    assert 1 < len(groups) < len(found)
    voxels = []
    for group in groups:
        blood = np.zeros((SLICES, *MATRIX), bool)
        for one in group:
            blood[one.window] = True
        voxels.append(np.argwhere(blood))
    for number, some in enumerate(voxels):
        for others in voxels[:number]:
            some_mm, others_mm = (
                np.stack([at_mm[0][z], at_mm[1][z, y], at_mm[2][z, x]], axis=1) for z, y, x in (some.T, others.T)
            )
            assert cdist(some_mm, others_mm).min() > join_mm
            assert cdist(some, others, "chebyshev").min() > 1


def test_no_masks_are_no_cluster() -> None:
    assert clusters([], coordinates(0), 10) == []


def test_a_lesion_in_the_bend_of_another_is_counted_once() -> None:
    sah = HemorrhageType.SAH
    upright, lying, inside = (100, 100, 400, 120), (380, 100, 400, 400), (120, 300, 180, 360)
    reading = reading_of(*(detection(3, box, sah, mask=full()) for box in (upright, lying, inside)))
    finding = find(reading, boneless(made_volume(matrix=(128, 128), spacing_mm=(1.8, 1.8))), Criteria(0.5, 0.5, 10))
    voxel_ml = 1.8 * 1.8 * 5 / 1000
    assert [lesion.volume_ml / voxel_ml for lesion in finding.lesions] == pytest.approx([75 * 5 * 2 - 25, 15 * 15])
