# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Values from DICOM headers, for code that has to cope with any header: a value is usable, or absent.

Nothing here raises or judges: a missing, empty, multi-valued, infinite or nonsensical value is None (or an empty
tuple), and the caller decides what that means.
"""

from __future__ import annotations

import math
from datetime import date

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.uid import UID

LARGEST = 1e9
"""No length, number or HU in a CT header is larger; a larger value is nonsense and could overflow later."""


def texts(header: Dataset, keyword: str) -> tuple[str, ...]:
    """Return the values of a text attribute, stripped; empty when it is missing or empty."""
    value = header.get(keyword)
    if value is None or isinstance(value, bytes | Sequence):
        return ()
    values = value if isinstance(value, MultiValue | list | tuple) else (value,)
    return tuple(stripped for stripped in (str(item).strip(" \0\n\r\t") for item in values) if stripped)


def text(header: Dataset, keyword: str) -> str:
    """Return the first value of a text attribute, stripped; "" when it is missing or empty."""
    return next(iter(texts(header, keyword)), "")


def numbers(header: Dataset, keyword: str) -> tuple[float, ...]:
    """Return the values of a numeric attribute; empty unless every one of them is a finite, sensible number."""
    value = header.get(keyword)
    if value is None or isinstance(value, str | bytes | Sequence) or value == "":
        return ()
    values = value if isinstance(value, MultiValue | list | tuple) else (value,)
    try:
        found = tuple(float(item) for item in values)
    except (TypeError, ValueError, OverflowError):
        return ()
    return found if all(math.isfinite(item) and abs(item) < LARGEST for item in found) else ()


def number(header: Dataset, keyword: str) -> float | None:
    """Return the value of a numeric attribute, None unless it is exactly one finite, sensible number."""
    found = numbers(header, keyword)
    return found[0] if len(found) == 1 else None


def integer(header: Dataset, keyword: str) -> int | None:
    """Return the value of an integer attribute, None unless it is exactly one whole number."""
    found = number(header, keyword)
    return int(found) if found is not None and found == int(found) else None


def acquisition_time(header: Dataset) -> float | None:
    """Return when the image was acquired, in seconds on an arbitrary scale (for comparison), None when not stated.

    From Acquisition DateTime, else Acquisition Date and Time. Time zones are ignored: within one series they agree.
    """
    joined = text(header, "AcquisitionDateTime")
    day, time = (joined[:8], joined[8:]) if joined else (text(header, "AcquisitionDate"), "")
    time = (time or text(header, "AcquisitionTime")).replace(":", "")
    whole, _, fraction = time.split("+")[0].split("-")[0].partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) in (2, 4, 6)):
        return None
    clock = whole.ljust(6, "0")
    seconds = 3600.0 * int(clock[:2]) + 60 * int(clock[2:4]) + int(clock[4:])
    if fraction.isascii() and fraction.isdigit():
        seconds += float(f"0.{fraction}")
    try:
        days = date(int(day[:4]), int(day[4:6]), int(day[6:8])).toordinal()
    except ValueError:  # without a date the time alone still separates two phases of one day
        days = 0
    return 86400.0 * days + seconds


def frame_of_reference(header: Dataset) -> str:
    """Return the UID of a header's frame of reference; empty if it has none, several, or an invalid one."""
    told = header.get("FrameOfReferenceUID")
    return str(told) if isinstance(told, UID) and told.is_valid else ""
