# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Small DICOM files that cost whoever parses them without care a lot: made here, element by element."""

from __future__ import annotations

import struct
import zlib

import numpy as np
from pydicom import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

from tests.appliance.imaging.scans import file, image

UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END = struct.pack("<HHL", 0xFFFE, 0xE000, UNDEFINED), struct.pack("<HHL", 0xFFFE, 0xE00D, 0)
SEQUENCE_END = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
REQUEST, IMAGE_COMMENTS, PIXELS = (0x0040, 0x0275), (0x0020, 0x4000), (0x7FE0, 0x0010)


def small_image() -> Dataset:
    """Return a slice of 32 x 32 pixels."""
    return image(np.full((32, 32), 1024), (0, 0, 0))


def element(tag: tuple[int, int], representation: bytes, value: bytes, length: int | None = None) -> bytes:
    """Return an explicit little endian element; those of 32-bit length are spelled so."""
    size = len(value) if length is None else length
    if representation in (b"SQ", b"OB", b"OW", b"UN", b"UT"):
        return struct.pack("<HH2sHL", *tag, representation, 0, size) + value
    return struct.pack("<HH2sH", *tag, representation, size) + value


def with_elements(*elements: bytes, dataset: Dataset | None = None) -> bytes:
    """Return a file of an explicit little endian image, by default a small one, with raw elements before its pixels."""
    data = file(dataset or small_image())
    at = data.index(struct.pack("<HH", *PIXELS) + b"OW")
    return data[:at] + b"".join(elements) + data[at:]


def nest_sequences(levels: int, *, defined: bool, dataset: Dataset | None = None) -> bytes:
    """Return a file with sequences nested in one another, of defined or of undefined length."""
    if not defined:
        start = element(REQUEST, b"SQ", b"", UNDEFINED) + ITEM
        return with_elements(start * levels + (ITEM_END + SEQUENCE_END) * levels, dataset=dataset)
    inner = b""
    for _ in range(levels):
        inner = element(REQUEST, b"SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(inner)) + inner)
    return with_elements(inner, dataset=dataset)


def deflate(data: bytes, *, group_length: bool = True, preamble: bool = True) -> bytes:
    """Return a deflated file of an explicit one, whose meta information may lack its length, or the preamble."""
    meta_end = 144 + struct.unpack_from("<L", data, 140)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(data[meta_end:]) + packer.flush()
    value = DeflatedExplicitVRLittleEndian.encode()
    meta = element((2, 0x10), b"UI", value + b"\0" * (len(value) % 2))
    length = element((2, 0), b"UL", struct.pack("<L", len(meta))) if group_length else b""
    return (bytes(128) + b"DICM" if preamble else b"") + length + meta + packed
