# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The detector's masks on the volume's own matrix."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from appliance.reading.contract import BRIGHTEST_CLOT_HU, MASK_SIZE
from appliance.reading.masks import only_clot, patch
from tests.appliance.phantom import detection, full


def paste(
    box: tuple[float, float, float, float],
    mask: NDArray[np.float32],
    matrix: tuple[int, int],
    spacing_mm: tuple[float, float] = (1.0, 1.0),
) -> NDArray[np.bool_]:
    one = patch(detection(0, box, mask=mask), matrix, spacing_mm)
    plane = np.zeros((1, *matrix), bool)
    plane[one.window] = one.blood
    return plane[0]


def test_a_full_mask_fills_the_pixels_whose_centres_lie_in_the_box() -> None:
    plane = paste((100, 60, 110.4, 63.5), full(), (512, 512))
    expected = np.zeros((512, 512), bool)
    expected[100:110, 60:63] = True
    np.testing.assert_array_equal(plane, expected)


@pytest.mark.parametrize("matrix", [(256, 256), (512, 384), (300, 768)])
def test_a_box_covers_the_same_share_of_any_matrix_of_a_square_field(matrix: tuple[int, int]) -> None:
    plane = paste((128, 64, 384, 320), full(), matrix, (200 / matrix[0], 200 / matrix[1]))
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    assert (rows[0], rows[-1] + 1) == (matrix[0] // 4, matrix[0] * 3 // 4)
    assert columns[0] == pytest.approx(matrix[1] / 8, abs=0.5)
    assert columns[-1] + 1 == pytest.approx(matrix[1] * 5 / 8, abs=0.5)


@pytest.mark.parametrize(("matrix", "top", "left"), [((512, 400), 0, 56), ((352, 512), 80, 0), ((512, 447), 0, 32)])
def test_a_box_on_a_field_that_was_padded_keeps_its_shape_and_place(
    matrix: tuple[int, int], top: int, left: int
) -> None:
    plane = paste((200, 240, 260, 280), full(), matrix)
    expected = np.zeros(matrix, bool)
    expected[200 - top : 260 - top, 240 - left : 280 - left] = True
    np.testing.assert_array_equal(plane, expected)


def test_probability_runs_linearly_between_the_centres_of_cells() -> None:
    ramp = np.tile((np.arange(MASK_SIZE, dtype=np.float32) + 0.5) / MASK_SIZE, (MASK_SIZE, 1))
    one = patch(detection(0, (0, 0, 448, 448), mask=ramp), (512, 512))
    centres = (np.arange(448) + 0.5) / 448
    half_cell = 0.5 / MASK_SIZE
    np.testing.assert_allclose(one.probability[200], np.clip(centres, half_cell, 1 - half_cell), atol=1e-6)
    np.testing.assert_array_equal(one.blood[200], centres >= 0.5)


def test_a_box_that_reaches_over_the_edge_is_cut_off_there() -> None:
    plane = paste((-20, 500, 12, 530), full(), (512, 512))
    assert plane.sum() == 12 * 12
    assert plane[:12, 500:].all()


@pytest.mark.parametrize("box", [(100.6, 100.6, 100.9, 100.9), (511.9, 511.9, 512, 512), (0, 0, 0.1, 0.1)])
def test_a_box_between_pixel_centres_marks_the_pixel_it_lies_in(box: tuple[float, float, float, float]) -> None:
    plane = paste(box, full(), (512, 512))
    assert plane.sum() == 1
    assert plane[int(box[0]), int(box[1])]


def test_a_mask_below_one_half_everywhere_marks_its_most_probable_voxel() -> None:
    mask = np.full((MASK_SIZE, MASK_SIZE), 0.1, np.float32)
    mask[10, 40] = 0.4
    plane = paste((0, 0, 56, 56), mask, (512, 512))
    assert plane.sum() == 1
    assert plane[10, 40]


SPACING_MM = (0.45, 0.45)


def circle(radius_px: float) -> NDArray[np.bool_]:
    """Return the pixels [128, 128] of a circle about the middle."""
    y, x = np.ogrid[:128, :128]
    return np.asarray(np.hypot(y - 63.5, x - 63.5) < radius_px)


@pytest.mark.parametrize("clot_hu", [60, 78, 90])
@pytest.mark.parametrize("grain_px", [0.0, 0.7, 1.2])
def test_noise_takes_next_to_nothing_from_a_clot(clot_hu: int, grain_px: float) -> None:
    noise = gaussian_filter(np.random.default_rng(1).normal(size=(128, 128)), grain_px)
    hu = (np.where(circle(40), clot_hu, 34) + 8 * noise / noise.std()).astype(np.int16)
    whole = patch(detection(0, (96, 96, 416, 416), mask=full()), (128, 128))
    clot = circle(40)[whole.window[1:]]
    kept = only_clot(whole, hu, SPACING_MM).blood
    assert (kept & clot).sum() >= 0.995 * clot.sum()


def test_a_mask_that_runs_into_the_inner_table_is_cut_there() -> None:
    head = np.where(circle(50), 66, 1100).astype(float)  # a clot right up to the bone, blurred by the kernel
    hu = gaussian_filter(head, 1.0).astype(np.int16)
    whole = patch(detection(0, (0, 0, 512, 512), mask=full()), (128, 128))
    kept = only_clot(whole, hu, SPACING_MM).blood
    assert hu[kept].max() <= BRIGHTEST_CLOT_HU
    assert kept[circle(47)].all()


def test_noise_beside_bone_leaves_no_bone() -> None:
    head = gaussian_filter(np.where(circle(50), 66.0, 1100.0), 1.0)
    hu = (head + np.random.default_rng(2).normal(0, 8, head.shape)).astype(np.int16)
    whole = patch(detection(0, (0, 0, 512, 512), mask=full()), (128, 128))
    kept = only_clot(whole, hu, SPACING_MM).blood
    assert not kept[~circle(50)].any()
    assert kept[circle(46)].mean() > 0.99


def test_a_detection_on_bone_alone_is_still_pointed_at_and_where_clot_can_be_if_there_is_any() -> None:
    mask = np.full((MASK_SIZE, MASK_SIZE), 0.1, np.float32)
    mask[:, : MASK_SIZE // 2] = 0.9
    one = patch(detection(0, (200, 200, 312, 312), mask=mask), (512, 512))
    hu = np.full((512, 512), 900, np.int16)
    assert only_clot(one, hu, SPACING_MM).blood.sum() == 1
    hu[:, 290:] = 40
    left = only_clot(one, hu, SPACING_MM)
    assert left.blood.sum() == 1
    assert np.flatnonzero(left.blood.any(axis=0))[0] + left.x >= 290


def test_a_mask_at_the_edge_of_its_slice_is_cut_as_elsewhere() -> None:
    hu = np.full((128, 128), 60, np.int16)
    hu[:, :10] = 1000
    whole = patch(detection(0, (0, 0, 512, 512), mask=full()), (128, 128))
    np.testing.assert_array_equal(only_clot(whole, hu, SPACING_MM).blood, hu == 60)
