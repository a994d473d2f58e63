# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Checks a DICOM file before pydicom parses it, so that a small hostile file cannot exhaust the memory.

Deflated data is inflated up to a limit, whatever the file's meta information says or lacks. The elements before the
pixels are counted without recursion and without making objects: sequences nested too deep, too many elements and too
many values are refused. `instances.py` interprets the elements.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian

from appliance.errors import Refusal, RefusalCode, RefusedError

LARGEST_INFLATED: Final = 64 * 2**20
"""A deflated file with more bytes is refused; a CT slice of 1024 x 1024 has 2 MiB."""
DEEPEST: Final = 32
"""Sequences nested deeper are refused; a CT slice has 3 levels, a structured report seldom 10."""
MOST_ELEMENTS: Final = 100_000
"""A file with more elements and values before the pixels is refused: a CT slice has some 300, an enhanced CT of a
thousand frames some 60,000. A hundred thousand take some 60 MB once parsed."""

_PREAMBLE: Final = 132
_UNDEFINED: Final = 0xFFFFFFFF
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_PIXELS: Final = (0x7FE00008, 0x7FE00009, 0x7FE00010)
_TRANSFER_SYNTAX: Final = 0x00020010
_LONG: Final = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
"""The value representations whose length has 32 bits."""
_VALUE_BYTES: Final = {
    **dict.fromkeys((b"AT", b"FL", b"SL", b"UL"), 4),
    **dict.fromkeys((b"SS", b"US"), 2),
    **dict.fromkeys((b"FD", b"SV", b"UV"), 8),
}
"""The length of one value of these representations, bytes; values of text are separated by backslashes."""
_WHOLE: Final = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"UN", b"LT", b"ST", b"UT", b"UR"}
"""The value representations whose bytes are one value."""
_SHORT: Final = 64  # shorter values are not searched for further values


def bounded_file(data: bytes) -> bytes:
    """Return a file that is safe to parse: `data`, or the same in plain explicit VR when it is deflated.

    Raises `RefusedError`: TOO_LARGE when it holds more than an image can, NOT_DICOM when it is deflated and damaged.
    """
    meta = _meta(data)
    if data[meta.end : meta.end + 2] == b"\0\0":
        raise _refusal(RefusalCode.NOT_DICOM, "the file holds a command, which stands in messages alone")
    if meta.transfer_syntax != DeflatedExplicitVRLittleEndian:
        return data
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflated = inflating.decompress(memoryview(data)[meta.end :], LARGEST_INFLATED)
    except zlib.error:
        raise _refusal(RefusalCode.NOT_DICOM, "the file is deflated and damaged") from None
    if len(inflated) >= LARGEST_INFLATED:
        raise _refusal(RefusalCode.TOO_LARGE, "the file is deflated and holds more than an image can")
    if not inflating.eof:
        raise _refusal(RefusalCode.NOT_DICOM, "the file is deflated and cut short")
    return bytes(_PREAMBLE - 4) + b"DICM" + _meta_element(ExplicitVRLittleEndian) + inflated


def element_count(data: bytes) -> int:
    """Return how many elements and values a `bounded_file` has before the pixels, including those in sequences.

    Raises `RefusedError` (TOO_LARGE) when there are too many.
    """
    meta = _meta(data)
    big_endian = meta.transfer_syntax == ExplicitVRBigEndian or (
        not meta.transfer_syntax and _explicit_at(data, meta.end) and data[meta.end + 1 : meta.end + 2] >= b"\x04"
    )
    walk = _Walk(data, big_endian=big_endian)
    walk.go(meta.end)
    return walk.count


@dataclass(frozen=True)
class _Meta:
    """What the file's meta information says, and where the data set begins after it."""

    transfer_syntax: str
    end: int


def _meta(data: bytes) -> _Meta:
    """Return the transfer syntax and the end of group 2, by walking over it: its own length may be missing or wrong."""
    at = _PREAMBLE if data[_PREAMBLE - 4 : _PREAMBLE] == b"DICM" else 0
    syntax = ""
    while data[at : at + 2] == b"\x02\x00" and at + 8 <= len(data):
        tag, _, length, value = _element(data, at, "<", implicit=False)
        if length == _UNDEFINED:
            break
        if tag == _TRANSFER_SYNTAX:
            syntax = data[value : value + length].decode("latin-1").strip("\0 ")
        at = value + length
    return _Meta(syntax, at)


def _meta_element(transfer_syntax: str) -> bytes:
    value = transfer_syntax.encode()
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value


def _element(data: bytes, at: int, order: str, *, implicit: bool) -> tuple[int, bytes, int, int]:
    """Return tag, value representation (empty when implicit), length and where the value begins."""
    group, number = struct.unpack_from(f"{order}HH", data, at)
    tag = group << 16 | number
    representation = data[at + 4 : at + 6]
    # Bytes that name no value representation mean an implicit element, as in pydicom: some files switch in a sequence.
    if implicit or not b"AA" <= representation <= b"ZZ":
        return tag, b"", struct.unpack_from(f"{order}L", data, at + 4)[0], at + 8
    if representation in _LONG:
        length = struct.unpack_from(f"{order}L", data, at + 8)[0] if at + 12 <= len(data) else 0
        return tag, representation, length, at + 12
    return tag, representation, struct.unpack_from(f"{order}H", data, at + 6)[0], at + 8


@dataclass
class _Level:
    """A data set or a sequence that the walk is in; `end` is None when a delimiter ends it."""

    is_sequence: bool
    end: int | None
    implicit: bool


class _Walk:
    """Walks over the elements as pydicom would, and stops at the pixels or where the bytes make no elements."""

    def __init__(self, data: bytes, *, big_endian: bool) -> None:
        self._data = data
        self._order = ">" if big_endian else "<"
        self.count = 0
        self._levels: list[_Level] = []

    def go(self, at: int) -> None:
        data, levels = self._data, self._levels
        levels.append(_Level(is_sequence=False, end=len(data), implicit=not _explicit_at(data, at)))
        while levels:
            level = levels[-1]
            if at + 8 > len(data):
                return
            if level.end is not None and at >= level.end:
                levels.pop()
                continue
            tag, representation, length, value = _element(
                data, at, self._order, implicit=level.implicit or level.is_sequence
            )
            self._count(1)
            if level.is_sequence:
                at = value
                if tag == _SEQUENCE_END:
                    levels.pop()
                else:  # pydicom takes anything here for an item
                    implicit = level.implicit or not _explicit_at(data, at)
                    self._enter(is_sequence=False, at=at, length=length, implicit=implicit)
            elif tag == _ITEM_END:
                levels.pop()
                at = value
            elif tag in _PIXELS and len(levels) == 1:
                return
            elif self._is_sequence(tag, representation, length, value):
                at = value
                self._enter(is_sequence=True, at=at, length=length, implicit=level.implicit)
            elif length == _UNDEFINED:
                found = data.find(self._tag(_SEQUENCE_END), value)
                if found < 0:
                    return
                at = found + 8
            else:
                self._count_values(tag, representation, value, length)
                at = value + length

    def _enter(self, *, is_sequence: bool, at: int, length: int, implicit: bool) -> None:
        self._levels.append(_Level(is_sequence, None if length == _UNDEFINED else at + length, implicit))
        if len(self._levels) > 2 * DEEPEST:
            raise _refusal(RefusalCode.TOO_LARGE, f"the file holds sequences nested more than {DEEPEST} deep")

    def _is_sequence(self, tag: int, representation: bytes, length: int, value: int) -> bool:
        if representation == b"SQ":
            return True
        if representation not in (b"", b"UN"):
            return False
        if length == _UNDEFINED and representation == b"UN":
            return True
        known = _dictionary(tag)
        if length == _UNDEFINED and known == b"UN":
            return self._data[value : value + 4] == self._tag(_ITEM)
        return known == b"SQ"

    def _tag(self, tag: int) -> bytes:
        return struct.pack(f"{self._order}HH", tag >> 16, tag & 0xFFFF)

    def _count_values(self, tag: int, representation: bytes, value: int, length: int) -> None:
        if length <= _SHORT or tag >> 16 & 1:  # private elements are dropped as bytes
            return
        representation = representation or _dictionary(tag)
        if representation in _VALUE_BYTES:
            self._count(min(length, len(self._data) - value) // _VALUE_BYTES[representation])
        elif representation not in _WHOLE:
            self._count(self._data.count(b"\\", value, value + length))

    def _count(self, more: int) -> None:
        self.count += more
        if self.count > MOST_ELEMENTS:
            raise _refusal(RefusalCode.TOO_LARGE, f"the file holds more than {MOST_ELEMENTS} elements and values")


def _explicit_at(data: bytes, at: int) -> bool:
    """Return whether a data set that begins here states its value representations, decided as pydicom does."""
    representation = data[at + 4 : at + 6]
    return len(representation) < 2 or (representation.isalpha() and representation.isupper())


def _dictionary(tag: int) -> bytes:
    """Return the value representation of an element by the standard; UN when it gives none."""
    try:
        return dictionary_VR(tag).partition(" ")[0].encode()  # "US or SS": either has two bytes
    except KeyError:
        return b"UN"


def _refusal(code: RefusalCode, reason: str) -> RefusedError:
    return RefusedError(Refusal(code, reason))
