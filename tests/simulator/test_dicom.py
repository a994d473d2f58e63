# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""HU as stored values, and files in every transfer syntax."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale
from pydicom.uid import CTImageStorage

from simulator.dicom import HU_RANGE, Storage, TransferSyntax, Uids, set_ct_pixels, write_dicom
from simulator.vendors import VENDORS

STORAGES = {name: vendor.storage for name, vendor in VENDORS.items()}


def plane() -> np.ndarray:
    """Return a plane [48, 64] that holds every HU of the range, in shuffled order where it fits."""
    values = np.linspace(*HU_RANGE, 48 * 64).round().astype(np.int16)
    return np.random.default_rng(3).permutation(values).reshape(48, 64)


def image(storage: Storage, outside: np.ndarray | None = None, index: int = 0) -> Dataset:
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "2.25.1"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    set_ct_pixels(dataset, plane(), outside, storage, index)
    return dataset


@pytest.mark.parametrize("syntax", TransferSyntax)
@pytest.mark.parametrize("vendor", STORAGES)
def test_every_vendor_in_every_transfer_syntax_gives_back_the_same_hu(
    vendor: str, syntax: TransferSyntax, tmp_path: Path
) -> None:
    write_dicom(image(STORAGES[vendor], index=1), tmp_path / "image.dcm", syntax)
    read = pydicom.dcmread(tmp_path / "image.dcm")
    assert read.file_meta.TransferSyntaxUID == syntax.uid
    assert read.SOPInstanceUID == "2.25.1"
    np.testing.assert_array_equal(apply_rescale(read.pixel_array, read), plane())


def test_outside_the_field_of_view_lies_the_padding_value_or_the_lowest_hu() -> None:
    outside = np.zeros((48, 64), bool)
    outside[:, :5] = True
    padded = image(Storage(signed=True, bits=16, intercept=-1024, padding=-2000), outside)
    assert padded.PixelPaddingValue == -2000
    assert set(np.frombuffer(padded.PixelData, np.int16).reshape(48, 64)[outside]) == {-2000}
    silent = image(Storage(signed=False, bits=12, intercept=-1024), outside)
    assert "PixelPaddingValue" not in silent
    assert set(np.frombuffer(silent.PixelData, np.uint16).reshape(48, 64)[outside]) == {0}


def test_slopes_are_taken_in_turn() -> None:
    storage = Storage(signed=False, bits=16, intercept=-1024, slopes=(1.0, 0.5))
    assert [float(image(storage, index=index).RescaleSlope) for index in range(3)] == [1.0, 0.5, 1.0]


def test_values_that_do_not_fit_are_not_wrapped_around() -> None:
    with pytest.raises(OverflowError, match="do not fit"):
        image(Storage(signed=True, bits=12, intercept=0))


def test_uids_follow_their_key_and_are_valid() -> None:
    assert Uids("a").of("study") == Uids("a").of("study")
    uids = {Uids(key).of("instance", kind, index) for key in "ab" for kind in ("axial", "bone") for index in (0, 1)}
    assert len(uids) == 8
    assert all(pydicom.uid.UID(uid).is_valid for uid in uids)
