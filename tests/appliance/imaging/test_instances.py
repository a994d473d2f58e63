# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A file is an instance, or it is refused: nothing else ever comes of it."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.instances import Instance, parse_instance
from appliance.imaging.pixels import hounsfield
from appliance.imaging.read import read_volume
from appliance.imaging.stacks import stacks
from appliance.sections.answers import SelectionSettings
from appliance.selection.select import select
from tests.appliance.imaging.scans import Archive, file, file_with, head, image, series


def plain() -> Dataset:
    return image(np.full((32, 32), 1024), (0, 0, 0))


def test_an_instance_keeps_its_header_and_drops_its_pixels() -> None:
    instance = parse_instance("ref", file(plain()))
    assert instance.ref == "ref"
    assert instance.uid == plain().SOPInstanceUID
    assert instance.header.StudyInstanceUID == plain().StudyInstanceUID
    assert instance.header.PatientName == "Test^Phantom"
    assert "PixelData" not in instance.header
    assert getattr(instance.header, "buffer", None) is None


def test_private_elements_overlays_and_icons_are_not_kept() -> None:
    dataset = plain()
    dataset.private_block(0x0029, "MAKER", create=True).add_new(1, "OB", b"x" * 1000)
    dataset.add_new(0x60003000, "OW", b"\0" * 128)
    icon = Dataset()
    icon.Rows = 4
    dataset.IconImageSequence = Sequence([icon])
    header = parse_instance("ref", file(dataset)).header
    assert not [element for element in header if element.tag.is_private or element.tag.group == 0x6000]
    assert "IconImageSequence" not in header


def test_elements_that_are_not_what_they_say_are_not_kept_and_the_rest_is() -> None:
    header = parse_instance("ref", file_with(plain(), SliceThickness=b"thick", TableHeight=b"nan", KVP=b"120")).header
    assert "SliceThickness" not in header
    assert "TableHeight" not in header
    assert header.KVP == 120


def test_a_file_without_preamble_is_read() -> None:
    dataset = plain()
    del dataset.file_meta
    stream = io.BytesIO()
    dcmwrite(stream, dataset, implicit_vr=True, little_endian=True)
    instance = parse_instance("ref", stream.getvalue())
    assert instance.uid == plain().SOPInstanceUID
    assert hounsfield(stream.getvalue(), instance).max() == 0


def test_a_deflated_file_is_read_unless_it_would_fill_the_memory() -> None:
    dataset = plain()
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = file(dataset)
    assert hounsfield(data, parse_instance("ref", data)).max() == 0
    dataset.add_new(0x00420011, "OB", bytes(66 * 2**20))
    with pytest.raises(RefusedError, match="deflated"):
        parse_instance("ref", file(dataset))


@pytest.mark.parametrize(
    "data",
    [b"", b"\0", b"not dicom at all" * 50, b"\0" * 128 + b"DICM", b"\x08\x00" * 500, b"PK\x03\x04" + b"\0" * 400],
    ids=lambda data: repr(data[:12]),
)
def test_what_is_not_dicom_is_refused_as_such(data: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        parse_instance("ref", data)
    assert [refusal.code for refusal in caught.value.refusals] == [RefusalCode.NOT_DICOM]


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", [None, "", "Doe^John", "1" * 80])
def test_an_instance_without_its_uids_is_refused_and_not_quoted(keyword: str, value: str | None) -> None:
    dataset = plain()
    del dataset[keyword]
    with pytest.raises(RefusedError) as caught:
        parse_instance("ref", file_with(dataset) if value is None else file_with(dataset, **{keyword: value.encode()}))
    assert "Doe" not in str(caught.value)
    assert keyword in str(caught.value)


def answer_of(data: bytes) -> Instance | None:
    """Take one file all the way that a file takes; return its instance, or None when it was refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            instance = parse_instance("ref", data)
        except RefusedError:
            return None
        for stack in select(stacks([instance]), SelectionSettings(), refuse_gaps=False).judgements:
            try:
                read_volume(stack.stack, lambda ref: data)
            except RefusedError:
                return None
    return instance


def small(syntax: str | None) -> bytes:
    dataset = image(np.full((16, 16), 1024), (0, 0, 0), PixelPaddingValue=None)
    item = Dataset()
    item.ReferencedSOPInstanceUID = "1.2.3"
    item.ReferencedSOPClassUID = "1.2.3"
    dataset.ReferencedImageSequence = Sequence([item])
    if syntax == ImplicitVRLittleEndian:
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax:
        dataset.compress(syntax)
    return file(dataset)


SMALL = {str(syntax): small(syntax) for syntax in (None, ImplicitVRLittleEndian, RLELossless)}


@pytest.mark.parametrize("syntax", SMALL)
def test_the_file_that_is_going_to_be_damaged_is_whole(syntax: str) -> None:
    assert answer_of(SMALL[syntax]) is not None


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    syntax=st.sampled_from(list(SMALL)),
    edits=st.lists(st.tuples(st.integers(0, 10_000), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4),
    cut=st.one_of(st.none(), st.integers(0, 10_000)),
)
def test_a_damaged_file_is_an_instance_or_refused_and_nothing_else(
    syntax: str, edits: list[tuple[int, bytes]], cut: int | None
) -> None:
    data = bytearray(SMALL[syntax])
    for place, new in edits:
        at = place % len(data)
        data[at : at + len(new)] = new
    answer_of(bytes(data[: None if cut is None else cut % len(data)]))


VALUES = st.one_of(
    st.binary(max_size=20),
    st.floats().map(lambda value: repr(value).encode()),
    st.integers().map(lambda value: str(value).encode()),
    st.sampled_from([b"", b"1e400", b"-0", b"1\\2", b"1\\2\\3", b"1\\0\\0\\0\\1\\0", b"CT", b"MIP\\MIP", b"H60s"]),
)
KEYWORDS = (
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "RescaleSlope",
    "RescaleIntercept",
    "SliceThickness",
    "InstanceNumber",
    "AcquisitionNumber",
    "AcquisitionTime",
    "AcquisitionDate",
    "AcquisitionDateTime",
    "ImageType",
    "ConvolutionKernel",
    "WindowCenter",
    "WindowWidth",
    "SeriesNumber",
    "KVP",
    "ContrastBolusAgent",
    "ContrastBolusVolume",
    "SeriesDescription",
    "Modality",
    "Rows",
    "BitsStored",
    "PixelPaddingValue",
)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(values=st.dictionaries(st.sampled_from(KEYWORDS), VALUES, min_size=1, max_size=4))
def test_nonsense_in_a_slice_refuses_or_is_borne(values: dict[str, bytes]) -> None:
    images = series(head(3, 16), pixel_mm=14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive = Archive([images[0], file_with(images[1], **values), images[2]])
        for judgement in select(archive.stacks, SelectionSettings(), refuse_gaps=False).judgements:
            with contextlib.suppress(RefusedError):
                read_volume(judgement.stack, archive.fetch)
