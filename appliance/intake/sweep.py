# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The sweep over all series in Orthanc, which finds those that the change log left out.

It goes through the series in the order of their identifiers, a few at a time, and keeps its place in the ledger. A
fault with one series puts off only that series; only an Orthanc that does not answer at all stops the sweep, at its
place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from appliance.clocks import OrthancClock
from appliance.errors import UnavailableError
from appliance.intake.snapshot import Snapshots
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, KnownSeries, Origin, Position, Sweep, UnseenSeries
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError

_PAGE: Final = 200
_AT_ONCE: Final = 20
_AGAIN_AT_ONCE: Final = 5
_FIRST_PAUSE_S: Final = 5.0


@dataclass
class _Found:
    """The effect of looking at some series."""

    silent: list[KnownSeries] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    put_off: list[UnseenSeries] = field(default_factory=list)


class Sweeper:
    """Continues the sweep in progress that the ledger names.

    `study_uid` returns the UID of a study by Orthanc's identifier; `longest_pause_s` is the longest pause before a
    series that was put off is tried again.
    """

    def __init__(
        self,
        orthanc: Orthanc,
        ledger: Ledger,
        snapshots: Snapshots,
        study_uid: Callable[[str], str],
        orthanc_clock: OrthancClock,
        clock: Callable[[], float],
        longest_pause_s: float,
    ) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._snapshots = snapshots
        self._study_uid = study_uid
        self._orthanc_clock = orthanc_clock
        self._clock = clock
        self._longest_pause_s = longest_pause_s
        self._everything: Sequence[str] = ()
        self._place: Sweep | None = None
        self._log = structlog.get_logger("sweep")

    def step(self) -> int | None:
        """Look at the next few series; return how many the change log had left out, None when no sweep is in progress.

        Raises `UnavailableError` when Orthanc or the ledger does not answer: the sweep stays where it is.
        """
        place, position = self._ledger.sweeps.find_current(), self._ledger.feed.position()
        if place is None or position is None:
            self._everything, self._place = (), None
            return None
        if place != self._place:  # a new sweep, or one of an earlier session of this service
            self._everything, self._place = sorted(self._orthanc.series_ids()), place
        start = bisect_right(self._everything, place.after)
        part = self._everything[start : start + _PAGE]
        known = self._ledger.series.find_known(part)
        suspect = [one for one in part if one not in known or (place.counting and known[one].origin is Origin.SOURCE)]
        batch = suspect[:_AT_ONCE]
        found = _Found()
        for identifier in batch:
            self._look(UnseenSeries(identifier), known, position, found)
        is_rest_of_part = len(suspect) <= _AT_ONCE
        is_end = is_rest_of_part and start + len(part) == len(self._everything)
        new = None if is_end else replace(place, after=part[-1] if is_rest_of_part else batch[-1])
        if not self._ledger.sweeps.advance(place, new, found.silent, found.arrivals, found.put_off):
            self._place = None
            return 0
        self._place = new
        return len(found.arrivals)

    def look_again(self) -> int:
        """Look again at some series put off that are due; return how many the change log had left out."""
        due, position = self._ledger.sweeps.list_due(_AGAIN_AT_ONCE), self._ledger.feed.position()
        if not due or position is None:
            return 0
        known = self._ledger.series.find_known([one.id for one in due])
        found = _Found()
        for unseen in due:
            self._look(unseen, known, position, found)
        still = {one.id for one in found.put_off}
        seen = [one.id for one in due if one.id not in still]
        self._ledger.sweeps.settle(seen, found.silent, found.arrivals, found.put_off)
        return len(found.arrivals)

    def put_off(self, unseen: UnseenSeries, error: Exception) -> UnseenSeries:
        """Return the record of a series that cannot be looked at now; raises when Orthanc does not answer at all."""
        if isinstance(error, UnavailableError):
            self._orthanc.system()
        pause_s = min(self._longest_pause_s, _FIRST_PAUSE_S * 2 ** min(unseen.tries, 20))
        self._log.warning(
            "a series cannot be looked at", series=unseen.id, tries=unseen.tries + 1, error=describe(error)
        )
        return UnseenSeries(unseen.id, unseen.tries + 1, self._clock() + pause_s, describe(error))

    def _look(self, unseen: UnseenSeries, known: Mapping[str, KnownSeries], position: Position, found: _Found) -> None:
        try:
            series = self._orthanc.series(unseen.id)
            before = known.get(unseen.id)
            count = len(series.instances)
            if before is not None:
                if before.origin is Origin.OWN or before.instances == count:
                    return
            elif series.last_update < position.began:
                found.silent.append(KnownSeries(series.id, series.study, Origin.BASELINE, count))
                return
            elif self._snapshots.is_own(series):
                found.silent.append(KnownSeries(series.id, series.study, Origin.OWN, count))
                return
            now = self._clock()
            at = min(self._orthanc_clock.to_our_time(series.last_update), now)
            quiet_from = max(at, min(self._orthanc_clock.latest_time(series.last_update), now))
            known_now = KnownSeries(series.id, series.study, Origin.SOURCE, count)
            uid = self._study_uid(series.study)
            found.arrivals.append(Arrival(series.study, uid, at, quiet_from, False, (known_now,)))
        except NotThereError:
            return
        except Exception as error:  # whatever it is, it concerns only this series
            found.put_off.append(self.put_off(unseen, error))
