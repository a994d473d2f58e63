# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Ways to spoil a DICOM file: its bytes, the lengths in them, its elements and their values."""

from __future__ import annotations

import io
import json
import random
from copy import deepcopy
from typing import Any, Final

from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

ODD_BYTES: Final = (
    b"",
    b"\0",
    b" ",
    b"\\",
    b"\\\\\\",
    b"\xff" * 7,
    b"nan",
    b"inf",
    b"-1",
    b"1e308",
    b"1e-308",
    b"0",
    b"999999999999999999999",
    b"1.2.3.4",
    b"\x1b$B\x1b(B",
    b"\xc3\x28",
    b"^^^^^^",
    b"=",
    b"A" * 70,
    b"B" * 5000,
    b"YES",
    b"DERIVED\\SECONDARY",
    b"\r\n\t",
    b"20269999",
    b"250000.999999",
    b"\xf0\x9f\xa7\xa0",
)
ODD_LENGTHS: Final = (0, 1, 3, 0xFFFF, 0xFFFE, 0x7FFFFFFF, 0xFFFFFFFF, 0xFFFFFFFE, 0x10000)
_SEQUENCES: Final = (0x00081140, 0x00400275, 0x00082112, 0x00081111)
_CHARACTER_SETS: Final = ("", "ISO_IR 100", "ISO_IR 192", "ISO 2022 IR 87", "GB18030", "latin1", "\\ISO 2022 IR 149")


def spoil_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return a file with some of its bytes changed, doubled, moved, cut or overwritten by an odd length."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        if not spoiled:
            break
        at = rng.randrange(len(spoiled)) if rng.random() < 0.3 else rng.randrange(min(len(spoiled), 1600))
        match rng.randrange(7):
            case 0:
                spoiled[at] ^= 1 << rng.randrange(8)
            case 1:
                spoiled[at] = rng.randrange(256)
            case 2:
                del spoiled[at : at + rng.choice((1, 2, 4, 100))]
            case 3:
                spoiled[at:at] = spoiled[at : at + rng.choice((1, 2, 8, 200))]
            case 4:
                del spoiled[at:]
            case 5:
                size = rng.choice((2, 4))
                length = rng.choice(ODD_LENGTHS) & ((1 << 8 * size) - 1)
                spoiled[at : at + size] = length.to_bytes(size, "little")
            case _:
                spoiled[at:at] = rng.choice(ODD_BYTES)
    return bytes(spoiled)


def spoil_elements(rng: random.Random, data: bytes) -> bytes:
    """Return a file with some of its elements left out, doubled into sequences, or of odd values and representations.

    What cannot be written is returned with its bytes spoiled instead.
    """
    dataset = dcmread(io.BytesIO(data))
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        spoil_element(rng, dataset)
    written = io.BytesIO()
    try:
        dcmwrite(written, dataset)
    except Exception:
        return spoil_bytes(rng, data)
    return written.getvalue()


def spoil_element(rng: random.Random, dataset: Dataset) -> None:
    """Spoil one element of a data set, in place."""
    tags = [tag for tag in list(dataset._dict) if tag != 0x7FE00010]  # without reading their values
    if not tags:
        return
    tag = rng.choice(tags)
    match rng.randrange(6):
        case 0:
            del dataset[tag]
        case 1:
            _set_raw(dataset, tag, rng.choice(ODD_BYTES))
        case 2:
            _set_raw(dataset, tag, bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 16, 64)))))
        case 3:
            other = dataset.get_item(rng.choice(tags)).value
            _set_raw(dataset, tag, other if isinstance(other, bytes) else str(other).encode("utf-8", "replace"))
        case 4:
            nested = Dataset()
            if len(tags) < 200:
                nested._dict.update({one: deepcopy(dataset.get_item(one)) for one in tags[: rng.randrange(1, 6)]})
            dataset.add(
                DataElement(rng.choice((0x00081140, 0x00400275, 0x00082112, 0x00081111)), "SQ", Sequence([nested]))
            )
        case _:
            dataset.SpecificCharacterSet = rng.choice(_CHARACTER_SETS).split("\\")


def _set_raw(dataset: Dataset, tag: int, value: bytes) -> None:
    """Put bytes in the place of a value, whatever its representation is."""
    try:
        representation = dictionary_VR(tag).partition(" ")[0]
    except KeyError:
        representation = "UN"
    if representation == "SQ":
        representation = "UN"
    value += b" " * (len(value) % 2)
    dataset[tag] = RawDataElement(BaseTag(tag), representation, len(value), value, 0, False, True)


ODD_VALUES: Final[tuple[Any, ...]] = (
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**400,
    1e308,
    "",
    "x",
    "\0",
    "\ud800",
    "A" * 5000,
    [],
    [[]],
    [None],
    {},
    {"Value": None},
    {"ID": 3},
)


def spoil_json(rng: random.Random, value: Any) -> bytes:
    """Return a JSON document of whose values some are left out, odd, or in another's place; or with spoiled bytes."""
    value = deepcopy(value)
    for _ in range(rng.choice((1, 1, 2, 4))):
        value = _spoil_value(rng, value)
    written = json.dumps(value).encode()
    return spoil_bytes(rng, written) if rng.random() < 0.3 else written


def _spoil_value(rng: random.Random, value: Any) -> Any:
    places = [*value] if isinstance(value, dict) else [*range(len(value))] if isinstance(value, list) else []
    if not places or rng.random() < 0.15:
        return deepcopy(rng.choice(ODD_VALUES))
    place = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del value[place]
        case 1:
            value[place] = deepcopy(value[rng.choice(places)])
        case _:
            value[place] = _spoil_value(rng, value[place])
    return value
