# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Resizing covers the same field, in the plane only."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.imaging.resize import to_matrix, to_square_field


def test_the_networks_own_matrix_is_not_copied() -> None:
    hu = np.zeros((2, 512, 512), np.int16)
    assert to_matrix(hu, 512) is hu


@pytest.mark.parametrize(("height", "width"), [(256, 256), (768, 768), (1024, 1024), (340, 400)])
def test_a_place_keeps_its_place_relative_to_the_edges_of_the_field(height: int, width: int) -> None:
    y, x = np.meshgrid((np.arange(height) + 0.5) / height, (np.arange(width) + 0.5) / width, indexing="ij")
    resized = to_matrix(np.stack([1000 * y, 1000 * x]).astype(np.int16), 512)
    assert resized.shape == (2, 512, 512)
    assert resized.dtype == np.int16
    centres = 1000 * (np.arange(512) + 0.5) / 512
    inner = slice(4, -4)
    np.testing.assert_allclose(resized[0, inner, 256], centres[inner], atol=2)
    np.testing.assert_allclose(resized[1, 256, inner], centres[inner], atol=2)


def test_thin_blood_is_thinned_and_not_lost_on_a_coarser_grid() -> None:
    hu = np.full((1, 1024, 1024), 30, np.int16)
    hu[:, :, 301] = 70
    assert to_matrix(hu, 512).max() >= 45


def test_slices_do_not_mix() -> None:
    hu = np.zeros((3, 64, 64), np.int16)
    hu[1] = 100
    assert [(plane.min(), plane.max()) for plane in to_matrix(hu, 512)] == [(0, 0), (100, 100), (0, 0)]


def test_a_square_field_is_not_copied() -> None:
    hu = np.zeros((2, 256, 256), np.int16)
    assert to_square_field(hu, (0.9, 0.9)) is hu
    wide = np.zeros((2, 256, 512), np.int16)
    assert to_square_field(wide, (0.9, 0.45)) is wide


@pytest.mark.parametrize("shape", [(512, 448), (512, 400), (352, 512), (1024, 801)])
def test_air_is_laid_about_a_field_that_is_not_square_and_nothing_is_stretched(shape: tuple[int, int]) -> None:
    hu = np.full((2, *shape), 35, np.int16)
    square = to_square_field(hu, (0.4, 0.4))
    assert square.shape == (2, max(shape), max(shape))
    assert np.count_nonzero(square == 35) == hu.size
    assert set(np.unique(square)) == {-1024, 35}
