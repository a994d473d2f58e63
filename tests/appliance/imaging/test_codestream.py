# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A compressed image that was cut short, or claims to be huge, is found before it is decoded."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from appliance.errors import RefusalCode, RefusedError
from appliance.imaging.codestream import CodestreamSize, jpeg_2000_size, jpeg_is_whole, jpeg_size
from appliance.imaging.instances import parse_instance
from appliance.imaging.pixels import hounsfield
from tests.appliance.imaging.scans import file, image

SIZE = CodestreamSize(rows=40, columns=48, samples=1)
SYNTAXES = ["JPEG lossless", "JPEG-LS", "JPEG 2000", "RLE"]


@pytest.fixture
def compressed(tmp_path: Path) -> Callable[[str], Dataset]:
    """Return an image of 40 x 48 pixels of noise, compressed."""

    def make(syntax: str) -> Dataset:
        noise = np.random.default_rng(0).integers(0, 4000, (40, 48))
        dataset = image(noise, (0, 0, 0), BitsStored=12, HighBit=11)
        if syntax != "JPEG lossless":
            dataset.compress({"JPEG-LS": JPEGLSLossless, "JPEG 2000": JPEG2000Lossless, "RLE": RLELossless}[syntax])
            return dataset
        tool = shutil.which("dcmcjpeg")
        assert tool is not None, "dcmtk is not installed"
        (tmp_path / "plain.dcm").write_bytes(file(dataset))
        subprocess.run([tool, "+e1", tmp_path / "plain.dcm", tmp_path / "packed.dcm"], check=True)
        return dcmread(tmp_path / "packed.dcm")

    return make


def frame_of(dataset: Dataset) -> bytes:
    return get_frame(dataset.PixelData, 0, number_of_frames=1)


def refusal_with(dataset: Dataset, frame: bytes) -> RefusalCode:
    dataset.PixelData = encapsulate([frame])
    dataset["PixelData"].is_undefined_length = True
    data = file(dataset)
    with pytest.raises(RefusedError) as caught:
        hounsfield(data, parse_instance("ref", data))
    return caught.value.refusals[0].code


def test_sizes_are_those_of_the_image(compressed: Callable[[str], Dataset]) -> None:
    assert jpeg_size(frame_of(compressed("JPEG lossless"))) == SIZE
    assert jpeg_size(frame_of(compressed("JPEG-LS"))) == SIZE
    stream = frame_of(compressed("JPEG 2000"))
    assert jpeg_2000_size(stream) == SIZE
    assert jpeg_2000_size(b"a JP2 file's boxes" + stream) == SIZE


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xda" + bytes(20), b"\xff\x4f\xff\x51", bytes(64)]
)
def test_what_states_no_size_has_none(data: bytes) -> None:
    assert jpeg_size(data) is None
    assert jpeg_2000_size(data) is None


def test_fill_bytes_and_padding_are_borne(compressed: Callable[[str], Dataset]) -> None:
    frame = frame_of(compressed("JPEG lossless"))
    assert jpeg_size(frame[:2] + b"\xff\xff" + frame[2:]) == SIZE
    assert jpeg_is_whole(frame + b"\0")


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("share", [0.5, 0.9, 0.98])
def test_a_stream_that_was_cut_short_is_refused(
    syntax: str, share: float, compressed: Callable[[str], Dataset]
) -> None:
    dataset = compressed(syntax)
    frame = frame_of(dataset).rstrip(b"\0")
    assert refusal_with(dataset, frame[: int(len(frame) * share)]) is RefusalCode.BAD_PIXELS


@pytest.mark.parametrize("syntax", SYNTAXES[:3])
def test_a_stream_that_claims_to_be_huge_is_refused_and_not_decoded(
    syntax: str, compressed: Callable[[str], Dataset]
) -> None:
    dataset = compressed(syntax)
    frame = frame_of(dataset)
    if syntax == "JPEG 2000":
        huge = frame[:8] + struct.pack(">2I", 60_000, 60_000) + frame[16:]
    else:
        at = frame.index(b"\xff\xf7" if syntax == "JPEG-LS" else b"\xff\xc3")
        huge = frame[: at + 5] + struct.pack(">2H", 60_000, 60_000) + frame[at + 9 :]
    assert refusal_with(dataset, huge) is RefusalCode.BAD_PIXELS


def test_run_lengths_that_make_more_than_the_image_are_refused_before_they_are_made(
    compressed: Callable[[str], Dataset],
) -> None:
    """16 MB of runs of 128 zeros would make 1 GB."""
    dataset = compressed("RLE")
    bomb = struct.pack("<16I", 2, 64, 64 + 10, *[0] * 13) + b"\x81\x00" * 8_000_000
    dataset.PixelData = encapsulate([bomb])
    dataset["PixelData"].is_undefined_length = True
    data = file(dataset)
    with pytest.raises(RefusedError, match="longer than any such image") as caught:
        hounsfield(data, parse_instance("ref", data))
    assert caught.value.refusals[0].code is RefusalCode.BAD_PIXELS


def test_run_lengths_of_the_least_compressible_image_are_read() -> None:
    noise = np.random.default_rng(0).integers(0, 65536, (130, 130))
    dataset = image(noise, (0, 0, 0), BitsStored=16, HighBit=15)
    dataset.compress(RLELossless)
    data = file(dataset)
    assert hounsfield(data, parse_instance("ref", data)).shape == (130, 130)
