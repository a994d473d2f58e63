# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""When a head was scanned, from a header, and how long lies between two scans.

Scanners write local times. Where both headers name their offset from UTC the two are compared in UTC; else by the
scanners' clocks, so that a change of daylight saving time between two scans may shift the hours by one. Any header is
coped with: what is no date of a CT is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

_TIMES: Final = (("AcquisitionDate", "AcquisitionTime"), ("SeriesDate", "SeriesTime"), ("StudyDate", "StudyTime"))
_JOINED: Final = re.compile(r"(\d{8})(\d{0,6})(?:\.\d*)?([+-]\d{4})?")
_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})")
_YEARS: Final = range(1972, 2101)
"""From the first clinical CT on; other dates stand for none."""


@dataclass(frozen=True)
class ScanTime:
    """When a scan was made, by the scanner's clock.

    Attributes
    ----------
    at: date and time; midnight if only the date is known.
    has_time: whether the time of day is known.
    offset: how far the scanner's clock is ahead of UTC, None if the header does not say.
    """

    at: datetime
    has_time: bool
    offset: timedelta | None = None

    def __str__(self) -> str:
        """Return the ISO form that `parse_scan_time` reads."""
        if not self.has_time:
            return self.at.date().isoformat()
        if self.offset is None:
            return self.at.isoformat()
        minutes = round(self.offset.total_seconds() / 60)
        return f"{self.at.isoformat()}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"

    def hours_until(self, later: ScanTime) -> float:
        """Return the hours from this scan to a later one; negative if it is earlier.

        If either has no time of day, they are those between the two days.
        """
        if not (self.has_time and later.has_time):
            return (later.at.date() - self.at.date()).days * 24.0
        apart = later.at - self.at
        if self.offset is not None and later.offset is not None:
            apart += self.offset - later.offset
        return apart.total_seconds() / 3600

    def is_order_known(self, other: ScanTime) -> bool:
        """Return whether the two say which scan was first: not if one of the same day has no time."""
        return (self.has_time and other.has_time) or self.at.date() != other.at.date()


def scan_time(header: Mapping[str, Any]) -> ScanTime | None:
    """Return when an image was scanned; None where its header does not say.

    `header` holds texts by keyword. The acquisition's own date counts most, then the series', then the study's. A date
    without a time takes the time of the next of them that is of the same day. Raises nothing.
    """
    found = [one for one in _moments(header) if one is not None]
    if not found:
        return None
    timed = (one for one in found if one.has_time and one.at.date() == found[0].at.date())
    return next(timed, found[0])


def parse_scan_time(text: str) -> ScanTime | None:
    """Return the time that `str(ScanTime)` wrote; None for an empty or another text."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return ScanTime(at.replace(tzinfo=None), "T" in text, at.utcoffset())


def _moments(header: Mapping[str, Any]) -> Iterator[ScanTime | None]:
    offset = _offset(str(header.get("TimezoneOffsetFromUTC") or ""))
    joined = _JOINED.match(str(header.get("AcquisitionDateTime") or "").strip(" \0"))
    if joined is not None:
        own = _offset(joined[3] or "")
        yield _moment(joined[1], joined[2], offset if own is None else own)
    for date, time in _TIMES:
        yield _moment(str(header.get(date) or ""), str(header.get(time) or ""), offset)


def _moment(date: str, time: str, offset: timedelta | None) -> ScanTime | None:
    try:
        day = datetime.strptime(re.sub(r"\D", "", date)[:8], "%Y%m%d")
    except ValueError:
        return None
    if day.year not in _YEARS:
        return None
    digits = re.sub(r"\D", "", time.partition(".")[0])[:6]
    if len(digits) not in (2, 4, 6):
        return ScanTime(day, has_time=False)
    hours, minutes, seconds = int(digits[:2]), int(digits[2:4] or 0), int(digits[4:6] or 0)
    if hours > 23 or minutes > 59 or seconds > 60:
        return ScanTime(day, has_time=False)
    return ScanTime(day.replace(hour=hours, minute=minutes, second=min(seconds, 59)), True, offset)


def _offset(text: str) -> timedelta | None:
    told = _OFFSET.fullmatch(text.strip(" \0"))
    if told is None or int(told[2]) > 14 or int(told[3]) > 59:
        return None
    ahead = timedelta(hours=int(told[2]), minutes=int(told[3]))
    return -ahead if told[1] == "-" else ahead
