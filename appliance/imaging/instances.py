# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One image file: parsed once, kept as its header without pixels.

The same way for Orthanc and for a folder: the bytes of a DICOM file come in, an `Instance` comes out, or a refusal.
What is kept is what the results need to copy (patient, study, equipment, frame of reference, image); private elements,
overlays, curves and icons go, and so does every element whose bytes are not what its value representation says, so
that whoever reads a header later reads it without surprises.
"""

from __future__ import annotations

import io
import math
import re
import zlib
from dataclasses import dataclass

from pydicom import Dataset, config, dcmread
from pydicom.multival import MultiValue

from appliance.errors import Refusal, RefusalCode, RefusedError

# Headers are read as scanners write them: pydicom's complaints about a value would quote it, and so put a patient's
# name or ID on the log. What this appliance depends on it checks itself.
config.settings.reading_validation_mode = config.IGNORE

_UID = re.compile(r"[0-9.]{1,64}")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_FILE_META_WITHIN = 2048
_LARGEST_INFLATED = 64 * 2**20
_ICON = 0x00880200
_NUMERIC = {"DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"}
# A data set without the preamble begins with a group 2 or group 8 element, little endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM image without its pixels.

    `ref` is how its bytes are fetched again: the Orthanc instance id, or the path of the file.
    """

    ref: str
    header: Dataset

    @property
    def uid(self) -> str:
        """The SOP Instance UID."""
        return str(self.header.SOPInstanceUID)

    @property
    def series_uid(self) -> str:
        """The Series Instance UID."""
        return str(self.header.SeriesInstanceUID)


def parse_instance(ref: str, data: bytes) -> Instance:
    """Return the instance whose file is `data`.

    Raises `RefusedError` (NOT_DICOM) when `data` is not DICOM or lacks the UIDs that say what it is. Nothing else is
    judged here: an image that is no use is refused with its series (`stacks`).
    """
    if _inflates_beyond_measure(data):
        raise RefusedError(Refusal(RefusalCode.NOT_DICOM, "the file is deflated and holds more than an image can"))
    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=data[:2] in _FIRST_GROUPS)
        header.buffer = None  # else every header would hold on to its file, pixels and all
        _settle(header)
    except Exception as error:  # a hostile file makes a parser raise nearly anything
        # Without the error's own text and chain: they quote bytes of the file.
        raise RefusedError(
            Refusal(RefusalCode.NOT_DICOM, f"the file cannot be read as DICOM ({type(error).__name__})")
        ) from None
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not _UID.fullmatch(str(header.get(keyword, ""))):
            raise RefusedError(
                Refusal(RefusalCode.NOT_DICOM, f"the file has no usable {keyword}: it is not a DICOM instance")
            )
    return Instance(ref, header)


def _inflates_beyond_measure(data: bytes) -> bool:
    """Return whether this is a deflated file that would fill the memory once inflated."""
    if data[128:140] != b"DICM\x02\x00\x00\x00UL\x04\x00" or _DEFLATED not in data[:_FILE_META_WITHIN]:
        return False
    start = 144 + int.from_bytes(data[140:144], "little")
    inflating = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        inflating.decompress(data[start:], _LARGEST_INFLATED)
    except zlib.error:
        return False  # not to be read at all, and said so by who tries
    return bool(inflating.unconsumed_tail)


def _settle(header: Dataset) -> None:
    """Convert every element now, here, where it may fail; drop what cannot be converted and what is never needed."""
    for tag in list(header.keys()):
        group = tag >> 16
        if group & 1 or group >> 8 in (0x50, 0x60) or tag == _ICON:
            del header[tag]
            continue
        try:
            element = header[tag]
            if element.VR == "SQ":
                for item in element.value:
                    _settle(item)
            elif element.VR in _NUMERIC and not _is_numeric(element.value):
                del header[tag]
        except RecursionError:
            raise
        except Exception:  # see the module's paragraph
            header.pop(tag, None)


def _is_numeric(value: object) -> bool:
    """Return whether a converted value is finite numbers or empty; pydicom leaves text that is no number as text."""
    values = value if isinstance(value, MultiValue | list) else (value,)
    return all(item is None or item == "" or (isinstance(item, int | float) and math.isfinite(item)) for item in values)
