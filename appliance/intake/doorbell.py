# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The news that the Orthanc plugin rings for, and the box that keeps it for intake.

A ring only makes intake look at once, and brings the time at which each instance was received, which Orthanc's change
log keeps only in whole seconds. A lost ring loses no study. So a false ring does no harm: its size is bounded, and only
entries with odd identifiers are left out.
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from appliance.orthanc_records import is_orthanc_id

STAMPS_KEPT: Final = 20_000
DELETED_KEPT: Final = 20_000
_CHANGES: Final = ("stable", "deleted")
_STATES: Final = ("started", "stopped")


@dataclass(frozen=True)
class Ring:
    """One message of the plugin: instances with the Unix time they were received, series and studies, by Orthanc id.

    `sent` is the plugin's own time when it rang: the difference to a stamp is the age of the stamp, whatever that
    machine's clock says. `odd` entries were left out: their names cannot be identifiers of Orthanc.
    """

    instances: Mapping[str, float] = field(default_factory=dict)
    series: Mapping[str, str] = field(default_factory=dict)
    studies: Mapping[str, str] = field(default_factory=dict)
    orthanc: str | None = None
    sent: float | None = None
    odd: int = 0

    @classmethod
    def of(cls, message: Any) -> Ring:
        """Return the ring in a JSON message; raises `ValueError` with what is wrong with the message as a whole."""
        if not isinstance(message, dict):
            raise ValueError("a ring is a JSON object")
        kinds = {}
        for kind in ("instances", "series", "studies"):
            kinds[kind] = message.get(kind) or {}
            if not isinstance(kinds[kind], dict):
                raise ValueError(f"{kind} of a ring are a JSON object")
        orthanc, sent = message.get("orthanc"), message.get("sent")
        if orthanc is not None and orthanc not in _STATES:
            raise ValueError(f"orthanc of a ring is one of {', '.join(_STATES)}, or null")
        if not all(map(_is_time, kinds["instances"].values())):
            raise ValueError("the value of an instance is the Unix time at which it was received")
        if not all(what in _CHANGES for kind in ("series", "studies") for what in kinds[kind].values()):
            raise ValueError(f"the value of a series or study is one of {', '.join(_CHANGES)}")
        instances = {name: float(at) for name, at in kinds["instances"].items() if is_orthanc_id(name)}
        series, studies = (
            {name: what for name, what in kinds[kind].items() if is_orthanc_id(name)} for kind in ("series", "studies")
        )
        odd = sum(map(len, kinds.values())) - len(instances) - len(series) - len(studies)
        return cls(instances, series, studies, orthanc, sent if _is_time(sent) else None, odd)


def _is_time(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer of hundreds of digits
        return False


@dataclass
class News:
    """What was rung since intake last looked; `stamps` are by our own clock. The dicts are ordered sets."""

    stamps: dict[str, float] = field(default_factory=dict)
    deleted_studies: dict[str, None] = field(default_factory=dict)
    deleted_series: dict[str, None] = field(default_factory=dict)
    orthanc_started: bool = False


class Bell:
    """The box: the web server's thread puts rings in, intake's thread waits for them and takes them out."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._rung = threading.Condition()
        self._any = False
        self._news = News()

    def ring(self, ring: Ring) -> None:
        """Put a ring in; returns at once."""
        ahead_s = 0.0 if ring.sent is None else ring.sent - self._clock()
        with self._rung:
            news = self._news
            news.stamps.update((instance, at - ahead_s) for instance, at in ring.instances.items())
            keep_newest(news.stamps, STAMPS_KEPT)
            for kept, told in ((news.deleted_studies, ring.studies), (news.deleted_series, ring.series)):
                kept.update(dict.fromkeys(_list_deleted(told)))
                keep_newest(kept, DELETED_KEPT)
            news.orthanc_started |= ring.orthanc == "started"
            self._any = True
            self._rung.notify()

    def wake(self) -> None:
        """Wake the waiting thread, without news."""
        with self._rung:
            self._any = True
            self._rung.notify()

    def wait(self, longest_s: float) -> None:
        """Return when something was rung, or after `longest_s`."""
        with self._rung:
            self._rung.wait_for(lambda: self._any, max(0.0, longest_s))

    def take(self) -> News:
        """Take the news out of the box."""
        with self._rung:
            news, self._news, self._any = self._news, News(), False
            return news


def keep_newest(entries: dict[str, Any], most: int) -> None:
    """Remove the oldest entries until at most so many are left."""
    for oldest in list(itertools.islice(entries, max(0, len(entries) - most))):
        del entries[oldest]


def _list_deleted(told: Mapping[str, str]) -> Iterable[str]:
    return (identifier for identifier, what in told.items() if what == "deleted")
