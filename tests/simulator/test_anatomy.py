# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated head before blood and scanner: tissue values, closed skull, shape and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.atlas import load_atlas
from simulator.warp import at_warp_nodes


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.draw(5)


@pytest.fixture(scope="module")
def hu(anatomy: Anatomy) -> np.ndarray:
    return anatomy.hu()


def test_the_same_seed_gives_the_same_head(anatomy, hu):
    np.testing.assert_array_equal(Anatomy.draw(5).hu(), hu)


def test_another_seed_gives_another_head(anatomy):
    other = Anatomy.draw(6)

    assert other.build != anatomy.build
    assert other.tissue != anatomy.tissue
    assert np.abs(other.inner_warp - anatomy.inner_warp).max() > 1


def test_tissues_have_the_hu_that_the_literature_gives_them(anatomy, hu):
    box = anatomy.cavity_box
    grey, white, ventricle = anatomy.fractions
    brain = hu[box]
    outside = load_atlas().head_distance > 12

    def middle(where: np.ndarray) -> float:
        assert where.sum() > 500
        return float(np.median(brain[where]))

    assert 33 <= middle(grey > 0.98) <= 43
    assert 25 <= middle(white > 0.98) <= 33
    assert 3.5 <= middle(grey > 0.98) - middle(white > 0.98) <= 12
    assert 0 <= middle(ventricle > 0.98) <= 13
    assert hu.max() <= 2200
    np.testing.assert_allclose(hu[outside], -1000, atol=1)


def test_the_skull_has_hard_tables_around_softer_diploe(anatomy, hu):
    atlas = anatomy.atlas
    outer = anatomy.exterior.outer_distance
    thickness_mm = atlas.cavity_distance - outer
    middle = np.abs(atlas.cavity_distance + outer) < 0.6
    vault = np.broadcast_to(atlas.mni()[0] > 30, hu.shape)
    table = vault & (thickness_mm > 6) & (np.abs(atlas.cavity_distance - 0.9) < 0.3)
    diploe = vault & (thickness_mm > 6) & middle

    assert 1000 <= np.median(hu[table]) <= 1900
    assert 250 <= np.median(hu[diploe]) <= 1000


def test_the_vault_is_closed(anatomy, hu):
    vault = hu[75:150]
    passable = vault < 150
    pieces, _ = ndimage.label(passable)
    inside = pieces[20, 120, 100]

    assert inside > 0
    assert inside != pieces[20, 0, 0]


def test_there_is_fat_under_the_skin(anatomy, hu):
    exterior = anatomy.exterior
    scalp = hu[100:130][(exterior.outer_distance[100:130] > 2) & (exterior.skin_distance[100:130] < 0)]

    assert np.mean((scalp < -60) & (scalp > -125)) > 0.1


def test_inner_shape_never_moves_the_skull(anatomy):
    outside = at_warp_nodes(np.asarray(anatomy.atlas.cavity_distance)) > 0

    assert np.abs(anatomy.inner_warp[:, outside]).max() == 0


def test_no_push_is_no_change(anatomy):
    still = anatomy.push_tissue(np.zeros_like(anatomy.inner_warp))

    np.testing.assert_allclose(still.inner_warp, anatomy.inner_warp, atol=1e-6)


def test_patient_axes_run_with_the_atlas_grid(anatomy):
    points = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 30.0], [0.0, 30.0, 0.0], [30.0, 0.0, 0.0]])
    start, up, back, left = anatomy.atlas_index(points)

    assert up[0] - start[0] > 20
    assert back[1] - start[1] > 20
    sideways = left[2] - start[2]
    assert (sideways < -20) if anatomy.build.mirrored else (sideways > 20)
