# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is certainly no head in HU is refused by its pixels."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.check import check
from appliance.imaging.volume import Turn, Volume
from tests.appliance.imaging.scans import head


def volume(hu: NDArray[np.integer], pixel_mm: float = 7.0) -> Volume:
    headers = []
    for z in range(len(hu)):
        header = Dataset()
        header.SOPInstanceUID, header.SeriesInstanceUID = f"1.2.{z}", "1.2"
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
