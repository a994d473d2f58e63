# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Times for people: in the site's time zone with UTC beside, and how long ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final

_MINUTE_S, _HOUR_S, _DAY_S = 60, 3600, 86_400
_LONGEST_IN_HOURS: Final = 2 * _DAY_S


@dataclass(frozen=True)
class Moment:
    """A time: for machines, in the site's zone, and in UTC (empty where that is the site's)."""

    iso: str
    here: str
    utc: str


def moment(at: float, zone: tzinfo | None) -> Moment:
    """Return a Unix time for people; `zone` is the site's, None for the machine's."""
    utc = datetime.fromtimestamp(at, UTC)
    here = utc.astimezone(zone)
    same = here.utcoffset() == utc.utcoffset()
    beside = f"{utc:%H:%M:%S}" if utc.date() == here.date() else f"{utc:%Y-%m-%d %H:%M:%S}"
    return Moment(
        utc.isoformat(timespec="seconds").replace("+00:00", "Z"),
        f"{here:%Y-%m-%d %H:%M:%S}",
        "" if same else f"{beside} UTC",
    )


def zone_words(at: float, zone: tzinfo | None) -> str:
    """Return what the times of a page are: "Europe/Vienna (CET), UTC beside"."""
    here = datetime.fromtimestamp(at, UTC).astimezone(zone)
    name, short = getattr(zone, "key", ""), here.tzname() or ""
    if name in ("", "UTC") and not here.utcoffset():
        return "Times are UTC"
    named = f"{name} ({short})" if name and name != short else short
    return f"Times are {named}, UTC beside"


def age_words(seconds: float) -> str:
    """Return how long ago something was: "12 min", "5 h 10 min", "3 days"."""
    s = max(0.0, seconds)
    if s < _MINUTE_S:
        return "under 1 min"
    if s < _HOUR_S:
        return f"{s // _MINUTE_S:.0f} min"
    if s < _LONGEST_IN_HOURS:
        return f"{s // _HOUR_S:.0f} h {s % _HOUR_S // _MINUTE_S:02.0f} min"
    return f"{s // _DAY_S:.0f} days"
