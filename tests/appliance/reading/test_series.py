# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The thumbnails that the series classifier is shown."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.series import CHANNELS, INPUT_SHAPE, SIZE, metadata, shown_slices, thumbnail

SOFT, VESSELS, WIDE, FINE, COARSE = range(len(CHANNELS))


@pytest.mark.parametrize("shape", [(512, 512), (185, 256), (64, 64), (1, 1), (3, 700), (1024, 1024), (97, 97)])
def test_a_slice_of_any_matrix_gives_a_thumbnail_of_one_shape(shape: tuple[int, int]) -> None:
    made = thumbnail(np.full(shape, 40, np.int16))
    assert made.shape == INPUT_SHAPE[1:]
    assert made.dtype == np.uint8


def test_windows_keep_what_lies_in_them_and_hold_the_rest_at_their_ends() -> None:
    for hu, soft, vessels, wide in ((-2000, 0, 0, 0), (40, 128, 0, 133), (300, 255, 128, 166), (3000, 255, 255, 255)):
        pixel = thumbnail(np.full((512, 512), hu, np.int16))[SIZE // 2, SIZE // 2]
        assert abs(int(pixel[SOFT]) - soft) <= 1
        assert abs(int(pixel[VESSELS]) - vessels) <= 1
        assert abs(int(pixel[WIDE]) - wide) <= 1
        assert pixel[FINE] == pixel[COARSE] == 0


def test_a_slice_that_is_not_square_keeps_its_proportions_within_air() -> None:
    made = thumbnail(np.full((256, 512), 40, np.int16))
    assert np.all(made[: SIZE // 4 - 1, :, SOFT] == 0)
    assert np.all(made[SIZE // 4 + 1 : 3 * SIZE // 4 - 1, :, SOFT] > 100)


def test_fine_noise_and_smooth_noise_of_one_strength_are_told_apart_by_the_texture() -> None:
    rng = np.random.default_rng(1)
    fine = rng.normal(0, 30, (512, 512))
    smooth = rng.normal(0, 30, (128, 128)).repeat(4, axis=0).repeat(4, axis=1)
    shown = [thumbnail(np.rint(noise).astype(np.int16)).astype(float).mean((0, 1)) for noise in (fine, smooth)]
    assert shown[0][FINE] - shown[1][FINE] > 30
    assert abs(shown[0][COARSE] - shown[1][COARSE]) < shown[0][FINE] - shown[1][FINE]


def test_the_slices_shown_lie_within_the_stack_in_order() -> None:
    for count in (10, 30, 320):
        shown = shown_slices(count)
        assert list(shown) == sorted(set(shown))
        assert 0 <= shown[0] < shown[-1] < count


def test_the_contract_speaks_in_strings_as_tritons_parameters_do() -> None:
    assert all(isinstance(value, str) and value for value in metadata().values())
