# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A small file cannot take much memory, however it was made, and one of a scanner passes."""

from __future__ import annotations

import io
import struct
import tracemalloc
from collections.abc import Callable

import pytest
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.bounded import DEEPEST, LARGEST_INFLATED, MOST_ELEMENTS, bounded_file, element_count
from appliance.imaging.instances import parse_instance
from appliance.imaging.pixels import hounsfield
from tests.appliance.imaging.hostile import (
    IMAGE_COMMENTS,
    ITEM,
    ITEM_END,
    REQUEST,
    SEQUENCE_END,
    UNDEFINED,
    deflate,
    element,
    nest_sequences,
    small_image,
    with_elements,
)
from tests.appliance.imaging.scans import file

MIB = 2**20


def refusal(data: bytes) -> RefusalCode:
    with pytest.raises(RefusedError) as caught:
        parse_instance("ref", data)
    (only,) = caught.value.refusals
    return only.code


def peak_mib(do: Callable[[], object]) -> float:
    tracemalloc.start()
    try:
        do()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("defined", [False, True], ids=["undefined length", "defined length"])
@pytest.mark.parametrize("levels", [60, 2_000])
def test_sequences_nested_deep_are_refused_before_anything_recurses(levels: int, defined: bool) -> None:
    assert refusal(nest_sequences(levels, defined=defined)) is RefusalCode.TOO_LARGE


@pytest.mark.parametrize("defined", [False, True], ids=["undefined length", "defined length"])
def test_sequences_nested_as_deep_as_anybody_nests_them_are_read(defined: bool) -> None:
    instance = parse_instance("ref", nest_sequences(DEEPEST - 1, defined=defined))
    assert instance.uid == small_image().SOPInstanceUID


@pytest.mark.parametrize("group_length", [True, False])
@pytest.mark.parametrize("preamble", [True, False])
def test_a_deflated_file_is_read_without_its_metas_length_and_a_bomb_is_not(group_length: bool, preamble: bool) -> None:
    good = deflate(file(small_image()), group_length=group_length, preamble=preamble)
    instance = parse_instance("ref", good)
    assert hounsfield(good, instance).max() == 0
    zeros = element((0x0042, 0x0011), b"OB", bytes(2 * LARGEST_INFLATED))
    bomb = deflate(with_elements(zeros), group_length=group_length, preamble=preamble)
    assert len(bomb) < MIB
    assert peak_mib(lambda: refusal(bomb)) < 3 * LARGEST_INFLATED / MIB
    assert refusal(bomb) is RefusalCode.TOO_LARGE
    with pytest.raises(RefusedError, match="deflated"):
        hounsfield(bomb, instance)


def test_a_deflated_file_that_is_damaged_or_cut_short_is_no_dicom() -> None:
    good = deflate(file(small_image()))
    assert refusal(good[:-20]) is RefusalCode.NOT_DICOM
    assert refusal(good[:-200] + b"\xff" * 200) is RefusalCode.NOT_DICOM


MANY = {
    "elements": [element((0x0008, number), b"LO", b"") for number in range(0x2000)] * 40,
    "elements in items": [
        element(REQUEST, b"SQ", b"", UNDEFINED)
        + (ITEM + element((8, 0x1150), b"UI", b"") + ITEM_END) * 100_000
        + SEQUENCE_END
    ],
    "empty items of unknown representation": [
        element(REQUEST, b"UN", struct.pack("<HHL", 0xFFFE, 0xE000, 0) * 200_000)
    ],
    "values of text": [element((0x0018, 0x9999), b"UC", b"")]
    + [element((0x0028, 0x1050), b"DS", b"1\\" * 30_000)] * 20,
    "values of numbers": [element((0x0028, 0x0106), b"US", b"\1\0" * 32_000)] * 20,
}


@pytest.mark.parametrize("elements", MANY.values(), ids=MANY)
def test_more_than_anybody_writes_is_refused_without_making_an_object_of_it(elements: list[bytes]) -> None:
    data = with_elements(*elements)
    assert refusal(data) is RefusalCode.TOO_LARGE
    assert peak_mib(lambda: refusal(data)) < 2 * len(data) / MIB + 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_they_are_counted_in_every_byte_order_and_with_and_without_representations(syntax: str) -> None:
    dataset = small_image()
    dataset.file_meta.TransferSyntaxUID = syntax
    before = element_count(file(dataset))
    item = Dataset()
    item.ImageComments = "\\".join("1234")
    item.WindowWidth = ["100"] * 500
    dataset.ReferencedImageSequence = Sequence([item] * 100)
    assert 100 * 500 < element_count(file(dataset)) - before < 100 * 520


def test_a_large_multi_frame_header_is_still_known_for_what_it_is_and_costs_little_to_keep() -> None:
    frame = Dataset()
    frame.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    frame.ImagePositionPatient = [0, 0, 0]
    dataset = small_image()
    dataset.PerFrameFunctionalGroupsSequence = Sequence([frame] * 2_000)
    header = parse_instance("ref", file(dataset)).header
    assert header.SOPClassUID == small_image().SOPClassUID
    assert "PerFrameFunctionalGroupsSequence" not in header


def test_a_count_is_never_below_what_pydicom_makes_of_a_file() -> None:
    comments = element(IMAGE_COMMENTS, b"LT", b"1\\2\\3" * 40)
    implicit = struct.pack("<HHL", *REQUEST, 0)
    for extra in (
        [comments],
        [element(REQUEST, b"SQ", b"", UNDEFINED), ITEM, implicit * 30, ITEM_END, SEQUENCE_END, comments],
        [element(REQUEST, b"UN", b"", UNDEFINED), ITEM, implicit * 30, ITEM_END, SEQUENCE_END],
        [element((8, 0x1199), b"SQ", ITEM + comments * 9)],
        [b"\x08\0\x99\x11\0\0\0\0"] * 7,
    ):
        data = with_elements(*extra)
        parsed = dcmread(io.BytesIO(data), stop_before_pixels=True)
        assert element_count(data) >= sum(1 for _ in parsed.iterall())


def test_a_command_of_a_message_is_no_file() -> None:
    data = file(small_image())
    at = 144 + struct.unpack_from("<L", data, 140)[0]
    with pytest.raises(RefusedError, match="command"):
        bounded_file(data[:at] + struct.pack("<HHLL", 0, 0, 4, 0) + data[at:])
    assert MOST_ELEMENTS > 60_000
