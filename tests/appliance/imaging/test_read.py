# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a stack: one scan gives one volume, however it was stored."""

from __future__ import annotations

import shutil
import subprocess
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.read import read_volume
from appliance.imaging.volume import Volume
from tests.appliance.imaging.scans import AXIAL, Archive, file, head, image, series

ORIENTATIONS = [
    (sx, 0, 0, 0, sy, 0) if not swapped else (0, sy, 0, sx, 0, 0)
    for swapped, sx, sy in product((False, True), (1, -1), (1, -1))
]


def volume_of(images: list) -> Volume:
    archive = Archive(images)
    return read_volume(archive.stack, archive.fetch)


def refusal_of(images: list) -> RefusalCode:
    archive = Archive(images)
    with pytest.raises(RefusedError) as caught:
        read_volume(archive.stack, archive.fetch)
    return caught.value.refusals[0].code


def test_the_volume_is_the_head_that_was_stored() -> None:
    volume = volume_of(series())
    np.testing.assert_array_equal(volume.hu, head())
    assert volume.hu.dtype == np.int16
    assert volume.hu.flags.c_contiguous
    np.testing.assert_allclose(volume.positions_mm, np.arange(8) * 5)
    assert volume.pixel_spacing_mm == (7, 7)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("numbered_from_the_head", [False, True])
def test_eight_orientations_of_one_scan_give_one_volume(orientation: tuple, numbered_from_the_head: bool) -> None:
    images = series(orientation=orientation)
    if numbered_from_the_head:
        for number, dataset in enumerate(reversed(images), start=1):
            dataset.InstanceNumber = number
        images.reverse()
    volume = volume_of(images)
    np.testing.assert_array_equal(volume.hu, head())
    np.testing.assert_allclose(volume.positions_mm, np.arange(8) * 5)
    mask = head()[3] > 60
    stored = next(dataset for dataset in images if dataset.SOPInstanceUID == volume.instance_uids[3])
    stored_hu = np.frombuffer(stored.PixelData, np.uint16).reshape(32, 32).astype(int) - 1024
    np.testing.assert_array_equal(volume.turn.to_source(mask), stored_hu > 60)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_unequal_rows_columns_and_spacing_are_turned_with_the_image(orientation: tuple) -> None:
    hu = head()[:, :20, :]
    volume = volume_of(series(hu, orientation=orientation))
    np.testing.assert_array_equal(volume.hu, hu)
    images = [
        image(np.zeros((20, 32)), (0, 0, 5 * z), number=z, orientation=orientation, pixel_mm=(2, 3)) for z in range(3)
    ]
    assert volume_of(images).pixel_spacing_mm == ((3, 2) if orientation[0] == 0 else (2, 3))


@pytest.mark.parametrize("patient_position", ["HFS", "HFP", "FFS", "FFP"])
def test_patient_position_changes_nothing_as_coordinates_are_the_patients_own(patient_position: str) -> None:
    np.testing.assert_array_equal(volume_of(series(PatientPosition=patient_position)).hu, head())


def test_slices_are_ordered_by_position_whatever_numbers_and_files_say() -> None:
    images = series()
    for dataset, number in zip(images, [5, 5, 1, 7, 3, 2, 8, 4], strict=True):
        dataset.InstanceNumber = number
    np.testing.assert_array_equal(volume_of(images[3:] + images[:3]).hu, head())


@pytest.mark.parametrize("tilt", [-35, -20, 12, 30, 35])
def test_a_tilted_stack_keeps_its_tilted_planes(tilt: float) -> None:
    angle = np.radians(tilt)
    orientation = (1, 0, 0, 0, np.cos(angle), np.sin(angle))
    # The table moves along the body, so that the planes shear: 5 mm of table are 5 cos(tilt) along the normal.
    images = [
        image(plane.astype(int) + 1024, (-100, -100, 5 * z), number=z, orientation=orientation)
        for z, plane in enumerate(head())
    ]
    archive = Archive(images)
    volume = read_volume(archive.stack, archive.fetch)
    np.testing.assert_array_equal(volume.hu, head())
    np.testing.assert_allclose(volume.slice_spans_mm, 5 * np.cos(angle), rtol=1e-6)
    assert archive.stack.geometry is not None
    assert archive.stack.geometry.tilt_deg == pytest.approx(abs(tilt))
    assert archive.stack.geometry.orientation == "axial"


def test_mixed_spacing_is_kept() -> None:
    positions = [0, 2.5, 5, 7.5, 12.5, 17.5, 22.5, 27.5]
    archive = Archive(series(positions_mm=positions))
    assert archive.stack.complete
    np.testing.assert_allclose(read_volume(archive.stack, archive.fetch).positions_mm, positions)


def test_slope_and_intercept_are_those_of_each_slice() -> None:
    hu = head(4)
    images = [
        image(np.rint((hu[z] - intercept) / slope), (0, 0, 5 * z), number=z, slope=slope, intercept=intercept)
        for z, (slope, intercept) in enumerate([(1, -1024), (2, -1200), (0.5, -1000), (1, -1024.25)])
    ]
    volume = volume_of(images)
    np.testing.assert_allclose(volume.hu, hu, atol=1)
    np.testing.assert_array_equal(volume.hu[2], hu[2])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(("bits_stored", "high_bit"), [(16, 15), (13, 12), (12, 11), (12, 15), (12, 13)])
def test_stored_bits_are_cut_out_of_their_words_with_their_sign(signed: bool, bits_stored: int, high_bit: int) -> None:
    hu = head(3)
    intercept = 0 if signed else -1024
    words = (hu.astype(int) - intercept) & ((1 << bits_stored) - 1)
    shifted = words << (high_bit + 1 - bits_stored)
    garbage = 0xFFFF & ~(((1 << bits_stored) - 1) << (high_bit + 1 - bits_stored))  # old overlays live there
    images = [
        image(
            shifted[z] | garbage,
            (0, 0, 5 * z),
            number=z,
            intercept=intercept,
            BitsStored=bits_stored,
            HighBit=high_bit,
            PixelRepresentation=int(signed),
        )
        for z in range(3)
    ]
    np.testing.assert_array_equal(volume_of(images).hu, hu)


@pytest.mark.parametrize(
    ("signed", "bits_stored", "stored", "declared", "limit"),
    [
        (True, 16, -2000, -2000, None),
        (True, 16, -2000, 63536, None),  # the same bits
        (False, 16, 63536, 63536, None),
        (True, 12, -2000, -2000, None),
        (False, 12, 4095, 4095, None),  # bright padding
        (True, 12, 2000, 1990, 2010),
        (True, 16, 2000, 2010, 1990),
        (True, 16, -3000, -4000, -2500),
    ],
)
def test_padding_becomes_air(signed: bool, bits_stored: int, stored: int, declared: int, limit: int | None) -> None:
    hu = head(3)
    values = hu.astype(int) - (0 if signed else -1024)
    values[:, :4, :4] = stored
    attributes = {
        "BitsStored": bits_stored,
        "HighBit": bits_stored - 1,
        "intercept": 0 if signed else -1024,
        "PixelRepresentation": int(signed),
    }
    images = []
    for z in range(3):
        dataset = image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, **attributes)
        kind = "SS" if declared < 0 else "US"
        dataset.add_new("PixelPaddingValue", kind, declared)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS" if limit < 0 else "US", limit)
        images.append(dataset)
    expected = hu.copy()
    expected[:, :4, :4] = -1024
    np.testing.assert_array_equal(volume_of(images).hu, expected)


@pytest.mark.parametrize(
    ("signed", "declared", "within"),
    [
        (True, 0, 0),  # water has this value too
        (False, 4095, 3071),  # and metal this one
        (True, -2000, -1024),  # nothing has this one
    ],
)
def test_a_padding_value_that_matter_has_too_is_air_around_the_scan_and_stays_within_it(
    signed: bool, declared: int, within: int
) -> None:
    hu = head(3)
    values = hu.astype(int) - (0 if signed else -1024)
    values[:, :4, :4] = declared
    values[:, 15:18, 16] = declared
    images = []
    for z in range(3):
        bits = {"BitsStored": 12, "HighBit": 11, "intercept": 0 if signed else -1024}
        dataset = image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, PixelRepresentation=int(signed), **bits)
        dataset.add_new("PixelPaddingValue", "SS" if declared < 0 else "US", declared)
        images.append(dataset)
    expected = hu.copy()
    expected[:, :4, :4] = -1024
    expected[:, 15:18, 16] = within
    np.testing.assert_array_equal(volume_of(images).hu, expected)


def test_undeclared_padding_far_below_air_is_air() -> None:
    values = head(3).astype(int)
    values[:, 0] = -3024
    images = [image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=0, PixelRepresentation=1) for z in range(3)]
    assert (volume_of(images).hu[:, 0] == -1024).all()


def outside_the_circle(size: int) -> np.ndarray:
    """Return what lies outside the reconstruction circle of an image, bool [Y, X]."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.hypot(y, x) > size / 2


@pytest.mark.parametrize(
    ("signed", "stored"),
    [(False, 63536), (False, 65535), (False, 4095), (True, 32767), (True, 1600), (True, 0), (True, 90)],
)
def test_undeclared_padding_around_the_circle_is_no_matter_whatever_its_value(signed: bool, stored: int) -> None:
    hu, outside = head(3), outside_the_circle(32)
    values = hu.astype(int) - (0 if signed else -1024)
    values[:, outside] = stored
    values[:, 15, 16] = stored
    intercept = 0 if signed else -1024
    images = [
        image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=intercept, PixelRepresentation=int(signed))
        for z in range(3)
    ]
    expected = np.where(outside, -1024, hu)
    expected[:, 15, 16] = min(stored + intercept, 32767)
    np.testing.assert_array_equal(volume_of(images).hu, expected)


@pytest.mark.parametrize("least", [-200, 0])
def test_air_that_was_cut_off_is_no_undeclared_padding(least: int) -> None:
    values = np.maximum(head(3), least).astype(int)
    images = [image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=0, PixelRepresentation=1) for z in range(3)]
    assert volume_of(images).hu.min() == least


@pytest.mark.parametrize("slope", [1.25, 1.5, 2])
def test_noisy_air_that_measures_less_than_a_vacuum_is_refused_and_not_clipped(slope: float) -> None:
    noisy = head(3) + np.random.default_rng(1).normal(0, 9, head(3).shape)
    values = np.rint(noisy * slope).astype(int)
    images = [image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=0, PixelRepresentation=1) for z in range(3)]
    with pytest.raises(RefusedError, match="less than a vacuum") as caught:
        volume_of(images)
    assert caught.value.refusals[0].code is RefusalCode.IMPLAUSIBLE_HU


def test_declared_padding_that_is_noisy_is_padding() -> None:
    values = head(3).astype(int)
    values[:, :8] = -1500 - np.arange(8 * values.shape[2]).reshape(8, -1) % 300
    images = []
    for z in range(3):
        dataset = image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=0, PixelRepresentation=1)
        dataset.add_new("PixelPaddingValue", "SS", -1800)
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1500)
        images.append(dataset)
    assert (volume_of(images).hu[:, :8] == -1024).all()


def test_padding_in_implicit_vr_is_read_by_its_bits() -> None:
    values = head(3).astype(int)
    values[:, :4] = -2000
    images = []
    for z in range(3):
        dataset = image(values[z] & 0xFFFF, (0, 0, 5 * z), number=z, intercept=0, PixelRepresentation=1)
        dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        images.append(dataset)
    assert (volume_of(images).hu[:, :4] == -1024).all()


def test_eight_allocated_bits_are_read() -> None:
    stored = np.arange(1024).reshape(32, 32) % 256
    images = [
        image(
            stored,
            (0, 0, 5 * z),
            number=z,
            slope=4,
            BitsAllocated=8,
            BitsStored=8,
            HighBit=7,
            PixelData=stored.astype(np.uint8).tobytes(),
        )
        for z in range(3)
    ]
    np.testing.assert_array_equal(volume_of(images).hu[0], stored * 4 - 1024)


def test_big_endian_and_implicit_files_are_read() -> None:
    for syntax in (ExplicitVRBigEndian, ImplicitVRLittleEndian):
        images = series()
        for dataset in images:
            if syntax == ExplicitVRBigEndian:
                dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
            dataset.file_meta.TransferSyntaxUID = syntax
        np.testing.assert_array_equal(volume_of(images).hu, head())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits_stored", [12, 16])
@pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless], ids=lambda uid: uid.name)
def test_compressed_series_give_the_same_volume(syntax: str, bits_stored: int, signed: bool) -> None:
    images = []
    for dataset in series():
        values = np.frombuffer(dataset.PixelData, np.uint16).astype(int).reshape(32, 32)
        if signed:
            values = values - 1024
            dataset.RescaleIntercept = 0
        dataset.PixelRepresentation = int(signed)
        dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
        dataset.PixelData = values.astype(np.int16).tobytes()
        dataset.compress(syntax)
        images.append(dataset)
    np.testing.assert_array_equal(volume_of(images).hu, head())


@pytest.mark.parametrize("process", ["+e1", "+el"])
@pytest.mark.parametrize(("bits_stored", "signed"), [(12, False), (16, False), (16, True)])
def test_both_jpeg_lossless_processes_give_the_same_volume(
    process: str, bits_stored: int, signed: bool, tmp_path: Path
) -> None:
    tool = shutil.which("dcmcjpeg")
    assert tool is not None, "dcmtk is not installed"
    images = []
    for dataset in series(head(3)):
        values = np.frombuffer(dataset.PixelData, np.uint16).astype(int).reshape(32, 32) - (1024 if signed else 0)
        dataset.RescaleIntercept = 0 if signed else -1024
        dataset.PixelRepresentation = int(signed)
        dataset.BitsStored, dataset.HighBit = bits_stored, bits_stored - 1
        dataset.PixelData = values.astype(np.int16).tobytes()
        plain, packed = tmp_path / "plain.dcm", tmp_path / "packed.dcm"
        plain.write_bytes(file(dataset))
        subprocess.run([tool, process, plain, packed], check=True)
        images.append(dcmread(packed))
        assert images[-1].file_meta.TransferSyntaxUID == (
            "1.2.840.10008.1.2.4.70" if process == "+e1" else "1.2.840.10008.1.2.4.57"
        )
    np.testing.assert_array_equal(volume_of(images).hu, head(3))


def test_a_slice_sent_twice_under_two_uids_counts_once() -> None:
    images = series()
    again = series()[3]
    again.SOPInstanceUID = "1.2.3.4"
    archive = Archive([*images, again])
    assert len(archive.stack.instances) == 8
    assert len(archive.stack.copies) == 1
    np.testing.assert_array_equal(read_volume(archive.stack, archive.fetch).hu, head())


def test_two_different_images_at_one_position_are_refused() -> None:
    images = series()
    other = image(np.full((32, 32), 1024), images[3].ImagePositionPatient, uid="1.2.3.4")
    assert refusal_of([*images, other]) is RefusalCode.DUPLICATE_POSITION


@pytest.mark.parametrize(
    "damage",
    [
        {"PixelData": b"\0" * 100},
        {"PixelData": b"\0" * 32 * 32 * 4},
        {"PixelData": None},
        {"PixelData": b""},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "PlanarConfiguration": 0},
        {"BitsAllocated": 32, "BitsStored": 32, "HighBit": 31},
        {"BitsStored": 17},
        {"BitsStored": 0},
        {"HighBit": 3},
        {"NumberOfFrames": 2},
        {"PixelRepresentation": 2},
    ],
    ids=repr,
)
def test_unusable_pixels_are_refused_with_the_series(damage: dict) -> None:
    images = series()
    broken = image(np.zeros((32, 32)), images[3].ImagePositionPatient, number=4, **damage)
    assert refusal_of([*images[:3], broken, *images[4:]]) is RefusalCode.BAD_PIXELS


@pytest.mark.parametrize(
    "damage",
    [
        {"RescaleSlope": None},
        {"RescaleIntercept": None},
        {"RescaleSlope": "0"},
        {"RescaleSlope": "-1"},
        {"RescaleSlope": ["1", "2"]},
        {"RescaleIntercept": "1e300"},
        {"RescaleType": "Z_EFF"},
    ],
    ids=repr,
)
def test_values_that_are_not_hu_are_refused_with_the_series(damage: dict) -> None:
    images = series()
    broken = image(np.zeros((32, 32)), images[3].ImagePositionPatient, number=4, **damage)
    assert refusal_of([*images[:3], broken, *images[4:]]) is RefusalCode.NO_RESCALE


def test_a_truncated_file_is_refused_with_its_series() -> None:
    archive = Archive(series())
    archive.files["4"] = archive.files["4"][:-300]
    with pytest.raises(RefusedError) as caught:
        read_volume(archive.stack, archive.fetch)
    (refusal,) = caught.value.refusals
    assert refusal.code is RefusalCode.BAD_PIXELS
    assert refusal.series_uid == archive.stack.series_uid
    assert archive.stack.instances[4].uid in refusal.reason


def test_a_damaged_compressed_stream_is_refused() -> None:
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        images = series()
        for dataset in images:
            dataset.compress(syntax)
        archive = Archive(images)
        data = archive.files["4"]
        archive.files["4"] = data[:-400] + bytes(400)
        with pytest.raises(RefusedError):
            read_volume(archive.stack, archive.fetch)


def test_an_image_that_was_exchanged_since_its_header_was_read_is_refused() -> None:
    archive = Archive(series())
    archive.files["4"] = archive.files["5"]
    with pytest.raises(RefusedError, match="another image"):
        read_volume(archive.stack, archive.fetch)


def test_reading_takes_the_memory_of_the_volume_and_of_a_few_files() -> None:
    archive = Archive(series(np.tile(head(40), (1, 4, 4))))
    stack, file_bytes = archive.stack, len(archive.files["0"])
    tracemalloc.start()
    try:
        volume = read_volume(stack, lambda ref: bytes(bytearray(archive.fetch(ref))))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < volume.hu.nbytes + 10 * file_bytes


def test_what_fetch_raises_is_passed_on() -> None:
    archive = Archive(series())

    def fetch(ref: str) -> bytes:
        raise ConnectionError(ref)

    with pytest.raises(ConnectionError):
        read_volume(archive.stack, fetch)


def test_no_refusal_quotes_the_patient() -> None:
    images = series(ImageOrientationPatient=list(AXIAL[:5]))
    with pytest.raises(RefusedError) as caught:
        read_volume(Archive(images).stack, lambda ref: b"")
    assert "Phantom" not in str(caught.value)
    assert "PHANTOM" not in str(caught.value)
