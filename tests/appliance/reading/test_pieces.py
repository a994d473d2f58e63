# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which pieces of blood are one lesion."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist

from appliance.reading import pieces as pieces_module
from appliance.reading.pieces import join_pieces, pieces

Coordinates = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def coordinates(
    shape: tuple[int, int, int],
    spacing_mm: tuple[float, float, float] = (5.0, 1.0, 1.0),
    shift_mm: float = 0.0,
) -> Coordinates:
    z, y, x = (np.arange(size, dtype=np.float64) for size in shape)
    return (
        z * spacing_mm[0],
        shift_mm * z[:, None] + y * spacing_mm[1],
        np.zeros((shape[0], 1)) + x * spacing_mm[2],
    )


def lesions(blood: NDArray[np.bool_], at_mm: Coordinates, join_mm: float) -> NDArray[np.int32]:
    numbered, count = pieces(blood)
    return join_pieces(numbered, count, at_mm, join_mm)[numbered]


def by_every_distance(blood: NDArray[np.bool_], at_mm: Coordinates, join_mm: float) -> NDArray[np.intp]:
    """The rule taken literally: every voxel against every other."""
    z, y, x = np.nonzero(blood)
    points = np.stack([at_mm[0][z], at_mm[1][z, y], at_mm[2][z, x]], axis=1)
    voxels = np.stack([z, y, x], axis=1)
    touching = (np.abs(voxels[:, None] - voxels[None]) <= 1).all(axis=-1)
    near = touching | (cdist(points, points) <= join_mm)
    return np.asarray(connected_components(coo_array(near), directed=False)[1])


def same_parts(a: NDArray[np.generic], b: NDArray[np.generic]) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len(set(a.tolist())) == len(set(b.tolist()))


@pytest.mark.parametrize(("gap", "count"), [(9, 1), (10, 1), (11, 2)])
def test_pieces_ten_millimetres_apart_are_one_lesion_and_further_ones_are_not(gap: int, count: int) -> None:
    blood = np.zeros((1, 8, 40), bool)
    blood[0, 2:5, 5] = blood[0, 3:6, 5 + gap] = True
    assert lesions(blood, coordinates((1, 8, 40)), 10.0).max() == count


@pytest.mark.parametrize(("spacing", "count"), [(5.0, 1), (5.1, 2)])
def test_the_distance_along_the_normal_is_that_of_real_positions(spacing: float, count: int) -> None:
    blood = np.zeros((3, 9, 9), bool)
    blood[0] = True
    blood[2, 4, 4] = True
    assert lesions(blood, coordinates((3, 9, 9), (spacing, 1, 1)), 10.0).max() == count


def test_the_shift_of_tilted_slices_counts() -> None:
    blood = np.zeros((3, 40, 9), bool)
    blood[0, 20, 4] = blood[2, 20, 4] = True
    assert lesions(blood, coordinates((3, 40, 9), (4, 1, 1)), 10.0).max() == 1
    assert lesions(blood, coordinates((3, 40, 9), (4, 1, 1), shift_mm=3.5), 10.0).max() == 2


def test_touching_voxels_are_one_piece_whatever_the_spacing() -> None:
    blood = np.zeros((2, 6, 6), bool)
    blood[0, 2, 2] = blood[1, 3, 3] = True
    assert lesions(blood, coordinates((2, 6, 6), (12, 1, 1)), 10.0).max() == 1


def test_a_chain_of_pieces_is_one_lesion() -> None:
    blood = np.zeros((1, 3, 100), bool)
    blood[0, 1, ::10] = True
    assert lesions(blood, coordinates((1, 3, 100)), 10.0).max() == 1


@pytest.mark.parametrize("few", [0, pieces_module.FEW_DISTANCES])
@pytest.mark.parametrize("seed", range(12))
def test_lesions_are_what_measuring_every_distance_gives(seed: int, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces_module, "FEW_DISTANCES", few)
    draw = np.random.default_rng(seed)
    shape = (6, 40, 40)
    blood = np.zeros(shape, bool)
    for _ in range(int(draw.integers(2, 14))):
        z, y, x = (int(draw.integers(0, size)) for size in shape)
        blood[z : z + int(draw.integers(1, 3)), y : y + int(draw.integers(1, 9)), x : x + int(draw.integers(1, 9))] = (
            True
        )
    at_mm = coordinates(shape, (float(draw.uniform(2, 6)), 1.1, 0.9), shift_mm=float(draw.uniform(-1.5, 1.5)))
    join_mm = float(draw.uniform(3, 12))
    assert same_parts(lesions(blood, at_mm, join_mm)[blood], by_every_distance(blood, at_mm, join_mm))
