# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector's masks on the volume's own matrix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from appliance.reading.contract import MASK_SIZE
from appliance.reading.masks import patch
from tests.appliance.phantom import detection, full


def pasted(
    box: tuple[float, float, float, float], mask: NDArray[np.float32], matrix: tuple[int, int]
) -> NDArray[np.bool_]:
    one = patch(detection(0, box, mask=mask), matrix)
    plane = np.zeros((1, *matrix), bool)
    plane[one.window] = one.blood
    return plane[0]


def test_a_full_mask_fills_the_pixels_whose_centres_lie_in_the_box() -> None:
    plane = pasted((100, 60, 110.4, 63.5), full(), (512, 512))
    expected = np.zeros((512, 512), bool)
    expected[100:110, 60:63] = True
    np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("matrix", [(256, 256), (512, 384), (300, 768)])
def test_a_box_covers_the_same_share_of_any_matrix(matrix: tuple[int, int]) -> None:
    plane = pasted((128, 64, 384, 320), full(), matrix)
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (matrix[0] // 4, matrix[0] * 3 // 4)
    assert columns[0] == pytest.approx(matrix[1] / 8, abs=0.5)
    assert columns[-1] + 1 == pytest.approx(matrix[1] * 5 / 8, abs=0.5)


def test_probability_runs_linearly_between_the_centres_of_cells() -> None:
    ramp = np.tile((np.arange(MASK_SIZE, dtype=np.float32) + 0.5) / MASK_SIZE, (MASK_SIZE, 1))
    one = patch(detection(0, (0, 0, 448, 448), mask=ramp), (512, 512))
    centres = (np.arange(448) + 0.5) / 448
    half_cell = 0.5 / MASK_SIZE
    np.testing.assert_allclose(one.probability[200], np.clip(centres, half_cell, 1 - half_cell), atol=1e-6)
    np.testing.assert_array_equal(one.blood[200], centres >= 0.5)


def test_a_box_that_reaches_over_the_edge_is_cut_off_there() -> None:
    plane = pasted((-20, 500, 12, 530), full(), (512, 512))
    assert plane.sum() == 12 * 12
    assert plane[:12, 500:].all()


@pytest.mark.parametrize("box", [(100.6, 100.6, 100.9, 100.9), (511.9, 511.9, 512, 512), (0, 0, 0.1, 0.1)])
def test_a_box_between_pixel_centres_marks_the_pixel_it_lies_in(box: tuple[float, float, float, float]) -> None:
    plane = pasted(box, full(), (512, 512))
    assert plane.sum() == 1
    assert plane[int(box[0]), int(box[1])]


def test_a_mask_below_one_half_everywhere_marks_its_most_probable_voxel() -> None:
    mask = np.full((MASK_SIZE, MASK_SIZE), 0.1, np.float32)
    mask[10, 40] = 0.4
    plane = pasted((0, 0, 56, 56), mask, (512, 512))
    assert plane.sum() == 1
    assert plane[10, 40]
