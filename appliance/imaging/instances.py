# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One image file: parsed once, kept as its header without pixels.

This is the same for Orthanc and for a folder: the bytes of a DICOM file become an `Instance` or a refusal. The header
keeps what the results copy (patient, study, equipment, frame of reference, image). Private elements, overlays, curves
and icons are dropped, and so is every element whose bytes do not fit its value representation, so that a header can be
read later without surprises.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import Final

from pydicom import Dataset, config, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.multival import MultiValue

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.bounded import bounded_file, element_count
from appliance.uids import is_uid

# Headers are read as scanners write them: pydicom's warnings quote values, and would put a patient's name or ID into
# the log. The appliance checks the values that it depends on itself.
config.settings.reading_validation_mode = config.IGNORE

_MOST_KEPT = 5_000
"""A header with more elements and values loses its sequences; a CT slice has some 300."""
_ICON = 0x00880200
_NUMERIC = {"DS", "IS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"}
# A data set without the preamble begins with a group 2 or group 8 element, little endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")


@dataclass(frozen=True, eq=False)
class Instance:
    """One DICOM image without its pixels.

    `ref` says how to fetch its bytes again: the Orthanc instance ID, or the path of the file.
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


LARGEST_HEADER: Final = 16 * 2**20
"""How many bytes of a file are read at most for its header: a CT slice has half a megabyte, but a multi-frame may have
gigabytes."""


def parse_instance(ref: str, data: bytes) -> Instance:
    """Return the instance whose file is `data`.

    Raises `RefusedError`: NOT_DICOM when `data` is not DICOM or lacks the UIDs that identify it, TOO_LARGE when it
    would take far more memory than an image (`bounded`). Nothing else is judged here: an unusable image is refused with
    its series (`stacks`).
    """
    data = bounded_file(data)
    elements = element_count(data)
    try:
        header = dcmread(io.BytesIO(data), stop_before_pixels=True, force=data[:2] in _FIRST_GROUPS)
        header.buffer = None  # otherwise every header would keep its whole file in memory
        if elements > _MOST_KEPT:
            _drop_sequences(header)
        _settle(header)
    except Exception as error:  # a hostile file can make a parser raise nearly anything
        # Without the error's text and chain, which quote bytes of the file.
        raise RefusedError(
            Refusal(RefusalCode.NOT_DICOM, f"the file cannot be read as DICOM ({type(error).__name__})")
        ) from None
    for keyword in ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
        if not is_uid(str(header.get(keyword, ""))):
            raise RefusedError(
                Refusal(RefusalCode.NOT_DICOM, f"the file has no usable {keyword}: it is not a DICOM instance")
            )
    return Instance(ref, header)


def _drop_sequences(header: Dataset) -> None:
    """Drop every sequence: of so large a header only the kind of its image is read, and two thousand are kept."""
    for tag in list(header.keys()):
        if header.get_item(tag).VR in ("SQ", "UN") or (
            header.get_item(tag).VR is None and dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
        ):
            del header[tag]


def _settle(header: Dataset) -> None:
    """Convert every element now, while it may fail; drop what cannot be converted and what is never needed."""
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
    """Return whether a converted value is finite numbers or empty; pydicom leaves text that is not a number as text."""
    values = value if isinstance(value, MultiValue | list) else (value,)
    return all(item is None or item == "" or (isinstance(item, int | float) and math.isfinite(item)) for item in values)
