# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is certainly no head in HU is refused by its pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from scipy import ndimage

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.check import check
from appliance.imaging.pixels import AIR_HU
from appliance.imaging.volume import Turn, Volume
from simulator.not_a_head import NotAHead, noise_free
from tests.appliance.imaging.scans import head
from tests.appliance.phantom import made_volume

MADE = made_volume().hu
MADE_MM = 2.4


def volume(hu: NDArray[np.integer], pixel_mm: float = 7.0, kvp: object = 120) -> Volume:
    headers = []
    for z in range(len(hu)):
        header = Dataset()
        header.SOPInstanceUID, header.SeriesInstanceUID, header.KVP = f"1.2.{z}", "1.2", kvp
        headers.append(header)
    return Volume(hu.astype(np.int16), (pixel_mm, pixel_mm), np.arange(len(hu)) * 5.0, Turn(), tuple(headers))


def code_of(hu: NDArray[np.integer], pixel_mm: float = 7.0) -> RefusalCode:
    with pytest.raises(RefusedError) as caught:
        check(volume(hu, pixel_mm))
    (refusal,) = caught.value.refusals
    assert refusal.series_uid == "1.2"
    return refusal.code


@pytest.mark.parametrize("pixel_mm", [4.0, 7.0, 8.0], ids=["newborn", "adult", "large"])
def test_heads_of_all_sizes_are_accepted(pixel_mm: float) -> None:
    check(volume(head(), pixel_mm))


def test_blank_slices_above_and_below_the_head_are_accepted() -> None:
    hu = head()
    hu[:2], hu[-1] = -1024, -1024
    check(volume(hu))


def test_a_blank_slice_within_the_head_is_refused_and_named() -> None:
    hu = head()
    hu[4] = 0
    with pytest.raises(RefusedError, match=r"image 1\.2\.4 "):
        check(volume(hu))


@pytest.mark.parametrize("value", [-1024, 0, 40])
def test_a_series_of_one_value_is_refused(value: int) -> None:
    assert code_of(np.full((8, 32, 32), value)) is RefusalCode.IMPLAUSIBLE_HU


def test_values_that_miss_their_intercept_are_refused() -> None:
    assert code_of(head() + 1024) is RefusalCode.IMPLAUSIBLE_HU


def test_a_series_without_soft_tissue_is_refused() -> None:
    assert code_of(np.where(head() > -500, 1500, -1000)) is RefusalCode.IMPLAUSIBLE_HU


@pytest.mark.parametrize("pixel_mm", [1.0, 15.0], ids=["finger", "trunk"])
def test_what_is_too_small_or_too_large_for_a_head_is_refused(pixel_mm: float) -> None:
    assert code_of(head(), pixel_mm) is RefusalCode.NOT_HEAD


def with_padding_ring(hu: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the volume with padding outside the circle that touches its edges, as `pixels` leaves it."""
    size = hu.shape[1]
    y, x = np.ogrid[:size, :size]
    outside = np.hypot(y - (size - 1) / 2, x - (size - 1) / 2) > size / 2
    return np.where(outside, AIR_HU, hu)


def without_bone(hu: NDArray[np.integer], degrees: float, towards: float) -> NDArray[np.integer]:
    """Return the volume without the skull in a sector about its middle, in degrees clockwise from the left."""
    size = hu.shape[1]
    y, x = np.ogrid[:size, :size]
    angle = np.rad2deg(np.arctan2(y - size / 2, x - size / 2)) - towards
    sector = np.abs((angle + 180) % 360 - 180) < degrees / 2
    return np.where((hu > 150) & sector, 38, hu)


def wide_ventricles(hu: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the volume with fluid in more than half of the skull."""
    size = hu.shape[1]
    y, x = np.ogrid[:size, :size]
    middle = np.hypot((y - size / 2) / 0.32, (x - size / 2) / 0.25) < size * 0.98
    return np.where(middle & (hu > -100) & (hu < 100), 8, hu)


def one_side_denser(hu: NDArray[np.integer], by: int) -> NDArray[np.integer]:
    """Return the volume with brain and fluid on one side of the middle denser by so many HU."""
    side = np.arange(hu.shape[2]) > hu.shape[2] / 2
    return np.where((hu > -20) & (hu < 80) & side, hu + by, hu)


def with_fat(hu: NDArray[np.integer], fat_hu: int = -100) -> NDArray[np.integer]:
    """Return the volume with fat between skull and skin."""
    closed = np.stack([ndimage.binary_fill_holes(plane > 150) for plane in hu])
    return np.where((hu > -500) & ~closed, hu - 20 + fat_hu, hu)


def on_foam(hu: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the volume with a holder of foam behind it, of -165 HU."""
    behind = np.arange(hu.shape[1])[:, None] >= hu.shape[1] * 0.95
    return np.where((hu < -500) & behind, -165, hu)


def masked(hu: NDArray[np.integer]) -> NDArray[np.integer]:
    """Return the volume with padding for the air around it."""
    return np.where(hu < -500, AIR_HU, hu)


HEADS = {
    "as it is": (MADE, MADE_MM),
    "newborn": (MADE, MADE_MM * 0.5),
    "thin skull of an infant": (np.where(MADE > 150, MADE // 4, MADE), MADE_MM * 0.6),
    "after a hemicraniectomy": (without_bone(MADE, 130, 20), MADE_MM),
    "after a bifrontal craniectomy": (without_bone(MADE, 160, -90), MADE_MM),
    "with wide ventricles": (wide_ventricles(MADE), MADE_MM),
    "with a large bleed": (np.where((MADE > 20) & (MADE < 60) & (np.arange(96) > 60), 70, MADE), MADE_MM),
    "with contrast agent in one hemisphere": (one_side_denser(MADE, 26), MADE_MM),
    "with a padding ring": (with_padding_ring(MADE), MADE_MM),
    "with the air around it masked": (np.where(MADE < -500, AIR_HU, MADE), MADE_MM),
    "with air that a scanner shows as -1020": (np.where(MADE < -500, -1020, MADE), MADE_MM),
    "with fat, and the air around it masked": (np.where(MADE < -500, AIR_HU, with_fat(MADE)), MADE_MM),
    "with thin fat, and the air around it masked": (np.where(MADE < -500, AIR_HU, with_fat(MADE, -115)), MADE_MM),
    "with fat, in a holder of foam, and the air around it masked": (masked(on_foam(with_fat(MADE, -90))), MADE_MM),
    "in a field of view within it": (MADE[:, 8:-8, 16:-16], MADE_MM),
    "with the neck below it": (np.concatenate([np.where(MADE > 150, 50, MADE)[:1].repeat(20, 0), MADE]), MADE_MM),
}


@pytest.mark.parametrize(("hu", "pixel_mm"), HEADS.values(), ids=HEADS.keys())
def test_heads_of_all_kinds_are_accepted(hu: NDArray[np.integer], pixel_mm: float) -> None:
    check(volume(hu, pixel_mm))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("kind", NotAHead)
def test_other_parts_of_the_body_and_phantoms_are_refused_whatever_their_size(kind: NotAHead, seed: int) -> None:
    planes, pixel_mm = noise_free(kind, seed, slices=16, matrix=192)
    noisy = planes + np.random.default_rng(seed).normal(0, 10, planes.shape)
    assert code_of(np.rint(noisy), pixel_mm) is RefusalCode.NOT_HEAD


def test_a_shell_of_bone_full_of_water_is_no_head() -> None:
    assert code_of(np.where((MADE > -100) & (MADE < 100), 0, MADE), MADE_MM) is RefusalCode.IMPLAUSIBLE_HU


def test_a_femur_that_fills_a_heads_field_of_view_is_no_head() -> None:
    planes, pixel_mm = noise_free(NotAHead.LEGS, 3, slices=16, matrix=192)
    assert code_of(planes[:, :, :96], pixel_mm) is RefusalCode.NOT_HEAD


NOT_HU = {
    "intercept missing": lambda hu: hu + 1024,
    "intercept twice": lambda hu: np.maximum(hu - 1024, AIR_HU),
    "a little too bright": lambda hu: hu + 24,
    "a little too dark": lambda hu: np.maximum(hu - 24, AIR_HU),
    "shifted by 1000": lambda hu: hu + 1000,
    "slope 2": lambda hu: (hu + 1024) * 2 - 1024,
    "slope 10": lambda hu: np.minimum((hu + 1024) * 10 - 1024, 32767),
    "slope one half": lambda hu: (hu + 1024) // 2 - 1024,
    "HU halved": lambda hu: hu // 2,
    "HU by three quarters": lambda hu: hu * 3 // 4,
    "HU doubled": lambda hu: np.maximum(hu * 2, AIR_HU),
    "inverted": lambda hu: -hu,
    "8 bits of a brain window": lambda hu: np.clip(hu * 255 // 80, 0, 255),
    "8 bits of a brain window, white on black": lambda hu: 255 - np.clip(hu * 255 // 80, 0, 255),
    "8 bits of a stroke window": lambda hu: np.clip((hu - 20) * 255 // 40, 0, 255),
    "8 bits of a wide window": lambda hu: np.clip((hu + 700) * 255 // 1500, 0, 255),
    "8 bits with an intercept": lambda hu: np.clip(hu * 255 // 80, 0, 255) - 1024,
}


@pytest.mark.parametrize("ring", [True, False], ids=["padding ring", "no padding"])
@pytest.mark.parametrize("change", NOT_HU.values(), ids=NOT_HU.keys())
def test_values_that_cannot_be_a_heads_are_refused_whatever_the_reason(
    change: Callable[[NDArray[np.integer]], NDArray[np.integer]], ring: bool
) -> None:
    hu = change(MADE.astype(int))
    code = code_of(with_padding_ring(hu) if ring else hu, MADE_MM)
    assert code in (RefusalCode.IMPLAUSIBLE_HU, RefusalCode.NOT_HEAD)


@pytest.mark.parametrize("slope", [1.5, 1.7])
def test_fat_tells_a_wrong_slope_where_no_air_can_be_measured(slope: float) -> None:
    """Brain of 24 HU becomes 36 or 41 HU, which a brain may have; air stands where 12 stored bits end."""
    thin = np.where((MADE > 20) & (MADE < 60), MADE - 10, MADE)
    hu = np.maximum(with_fat(thin) * slope, AIR_HU)
    with pytest.raises(RefusedError, match="fat is"):
        check(volume(hu, MADE_MM))


@pytest.mark.parametrize("kvp", [80, 100, None, ""], ids=["80 kVp", "100 kVp", "none stated", "an empty one"])
def test_a_head_at_low_voltage_is_read_whose_air_is_masked(kvp: object) -> None:
    """Fat of -131 HU and brain of 44 HU, which are 175 HU apart."""
    dense = np.where((MADE > 20) & (MADE < 60), 44, MADE)
    check(volume(np.where(MADE < -500, AIR_HU, with_fat(dense, -131)), MADE_MM, kvp))


def test_fat_tells_a_wrong_slope_at_low_voltage_too() -> None:
    thin = np.where((MADE > 20) & (MADE < 60), MADE - 10, MADE)
    with pytest.raises(RefusedError, match="fat is"):
        check(volume(np.maximum(with_fat(thin, -130) * 1.5, AIR_HU), MADE_MM, 80))


def test_fat_and_brain_at_the_usual_voltage_are_read_at_the_edge_of_what_patients_have() -> None:
    dense = np.where((MADE > 20) & (MADE < 60), 44, MADE)
    check(volume(np.where(MADE < -500, AIR_HU, with_fat(dense, -118)), MADE_MM, 120))


def test_padding_does_not_pass_for_the_air_of_an_image_without_its_intercept() -> None:
    assert code_of(with_padding_ring(MADE.astype(int) + 1024), MADE_MM) is RefusalCode.IMPLAUSIBLE_HU
