# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Follows Orthanc's change log with a cursor in the ledger.

New instances become arrivals of their study; the cursor moves in the same transaction. The log alone cannot be trusted:
it may have been cleared, or Orthanc's database restored or replaced, so that its numbers start again. Then, and at each
start, a sweep over all series (`sweep`) finds what was missed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog

from appliance.clocks import OrthancClock
from appliance.errors import UnavailableError
from appliance.intake.snapshot import Snapshots
from appliance.intake.sweep import Sweeper
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, KnownSeries, Origin, Position, UnseenSeries
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.orthanc_records import Change, HeldSeries

_NEW_INSTANCE: Final = "NewInstance"
_PAGE: Final = 200
_PAGE_S: Final = 0.5
"""After so long the cursor is kept, wherever it is in a page: a slow Orthanc may take many seconds for a whole one."""
_STUDIES_REMEMBERED: Final = 2000
_CLOCK_LOOKED_AT_EVERY_S: Final = 30.0
_LATE_S: Final = 1.0
"""How much earlier than the log shows it an instance may have arrived: it is stored before the log has it, s."""


@dataclass(frozen=True)
class Placed:
    """An instance of the change log with its place, and its times by our clock.

    `stamped` says that the plugin reported when it was received, which cannot have been before `not_before`.
    """

    instance: str
    series: HeldSeries
    received_at: float
    quiet_from: float
    stamped: bool
    not_before: float = float("-inf")


@dataclass(frozen=True)
class TakenIn:
    """The effect of one page of the change log; `done` when there is no more yet."""

    placed: tuple[Placed, ...] = ()
    done: bool = True
    restarted: bool = False


class ChangeFeed:
    """Orthanc's change log, read page by page. `since` is a UTC date (YYYYMMDD) for the very first start."""

    def __init__(
        self,
        orthanc: Orthanc,
        ledger: Ledger,
        snapshots: Snapshots,
        since: str = "",
        clock: Callable[[], float] = time.time,
        longest_pause_s: float = 300.0,
    ) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._snapshots = snapshots
        self._since = since
        self._clock = clock
        self.orthanc_clock = OrthancClock()
        self.sweeper = Sweeper(orthanc, ledger, snapshots, self._study_uid, self.orthanc_clock, clock, longest_pause_s)
        self._clock_looked_at = float("-inf")
        self._read_to_its_end_at = float("-inf")
        self._study_uids: OrderedDict[str, str] = OrderedDict()
        self._log = structlog.get_logger("intake")

    def connect(self) -> None:
        """Find the place in the change log, and ask for a sweep: one that counts if the log's numbers started again.

        The very first start begins at the newest entry, or at `since`: an installation on a full archive must not queue
        years of studies.
        """
        self._look_at_clock()
        position = self._ledger.feed.position()
        if position is None:
            newest = self._orthanc.newest_change()
            last = newest.changes[-1] if newest.changes else None
            began = last.date + 1 if last else self._clock() + (self.orthanc_clock.ahead_s or 0.0)
            if self._since:
                began = datetime.strptime(self._since, "%Y%m%d").replace(tzinfo=UTC).timestamp()
            self._ledger.feed.begin(Position(newest.last, last.fingerprint if last else "", began))
        elif position.seq and position.fingerprint:
            there = self._orthanc.changes(position.seq - 1, 1).changes
            if there and there[0].seq == position.seq:
                restarted = there[0].fingerprint != position.fingerprint
            else:  # the entry went with its study, or the log is shorter than it was
                restarted = self._orthanc.newest_change().last < position.seq
            if restarted:
                self._reposition(position)
        self._ledger.sweeps.begin(counting=False)

    def _reposition(self, position: Position) -> None:
        """Continue from the newest entry; a sweep that counts, begun in the same transaction, finds the rest."""
        newest = self._orthanc.newest_change()
        fingerprint = newest.changes[-1].fingerprint if newest.changes else ""
        self._ledger.feed.advance(position, Position(newest.last, fingerprint, position.began), sweep=True)

    def _look_at_clock(self) -> None:
        before = self._clock()
        try:
            told = self._orthanc.now()
        except (
            OrthancError,
            UnavailableError,
        ):  # this user may not ask, or the next request shows that Orthanc is away
            return
        self._clock_looked_at = self._clock()
        self.orthanc_clock.look(before, told, self._clock_looked_at)

    def take_in(self, stamps: Mapping[str, float]) -> TakenIn:
        """Read the next page; `stamps` are the times by our clock at which the plugin saw instances, by instance."""
        position = self._ledger.feed.position()
        if position is None:
            self.connect()
            return TakenIn(done=False)
        asked_at = self._clock()
        page = self._orthanc.changes(position.seq, _PAGE)
        if page.changes or asked_at - self._clock_looked_at > _CLOCK_LOOKED_AT_EVERY_S:
            self._look_at_clock()
        if not page.changes:
            if page.last < position.seq:
                self._reposition(position)
                return TakenIn(restarted=True)
            self._read_to_its_end_at = asked_at
            return TakenIn()
        put_off: list[UnseenSeries] = []
        placed, is_whole, number = self._place(page.changes, stamps, put_off)
        last, is_done = page.changes[number - 1], page.done and number == len(page.changes)
        after = Position(last.seq, last.fingerprint, position.began)
        arrivals = self._arrivals(placed, live=True)
        if not self._ledger.feed.advance(position, after, arrivals, put_off, sweep=not is_whole):
            return TakenIn(done=False)
        if is_done:
            self._read_to_its_end_at = asked_at
        return TakenIn(tuple(placed), is_done)

    def _place(
        self, changes: Sequence[Change], stamps: Mapping[str, float], put_off: list[UnseenSeries]
    ) -> tuple[list[Placed], bool, int]:
        """Return new instances with their place, whether every existing place was found, and how many changes it read.

        That is at least one; all of them, if that does not take long.
        """
        now = self._clock()
        held: dict[str, HeldSeries | None] = {}
        placed: list[Placed] = []
        is_whole = True
        end = time.monotonic() + _PAGE_S
        for number, change in enumerate(changes):
            if number and time.monotonic() > end:
                return placed, is_whole, number
            if change.type != _NEW_INSTANCE:
                continue
            try:
                series = self._orthanc.series_of_instance(change.resource)
            except NotThereError:
                continue  # deleted meanwhile
            except Exception as error:  # of this instance alone, unless Orthanc does not answer at all
                if isinstance(error, UnavailableError):
                    self._orthanc.system()
                self._log.warning("an instance has no place", instance=change.resource, error=describe(error))
                is_whole = False
                continue
            if series not in held:
                held[series] = self._foreign(series, put_off)
            found = held[series]
            if found is not None:
                placed.append(self._times(change, found, stamps.get(change.resource), now))
        return placed, is_whole, len(changes)

    def _times(self, change: Change, series: HeldSeries, stamp: float | None, now: float) -> Placed:
        """Return an instance with its times.

        It arrived after the log was last read to its end, and not later than now, so a clock that is wrong by an hour
        can neither keep the study waiting nor have it decided before it was quiet.
        """
        not_before = max(self._read_to_its_end_at, self.orthanc_clock.earliest_time(change.date)) - _LATE_S
        not_before = min(not_before, now)
        if stamp is not None:
            received = quiet_from = min(max(stamp, not_before), now)
        else:
            received = min(max(self.orthanc_clock.to_our_time(change.date), not_before), now)
            quiet_from = min(max(self.orthanc_clock.latest_time(change.date), received), now)
        return Placed(change.resource, series, received, quiet_from, stamp is not None, not_before)

    def _foreign(self, identifier: str, put_off: list[UnseenSeries]) -> HeldSeries | None:
        """Return the series unless it is our own result, gone, or put off because it cannot be looked at."""
        known = self._ledger.series.find_known([identifier]).get(identifier)
        if known is not None and known.origin is Origin.OWN:
            return None
        try:
            series = self._orthanc.series(identifier)
            is_own = known is None and self._snapshots.is_own(series)
            if not is_own:
                self._study_uid(series.study)
        except NotThereError:
            return None
        except Exception as error:  # of this series alone, unless Orthanc does not answer at all
            put_off.append(self.sweeper.put_off(UnseenSeries(identifier), error))
            return None
        if is_own:
            self._ledger.series.note([KnownSeries(series.id, series.study, Origin.OWN, len(series.instances))])
            return None
        return series

    def _arrivals(self, placed: list[Placed], live: bool) -> list[Arrival]:
        by_study: dict[str, list[Placed]] = {}
        for one in placed:
            by_study.setdefault(one.series.study, []).append(one)
        return [
            Arrival(
                study,
                self._study_uid(study),
                max(one.received_at for one in group),
                max(one.quiet_from for one in group),
                live,
                tuple(
                    KnownSeries(series.id, study, Origin.SOURCE, len(series.instances))
                    for series in {one.series.id: one.series for one in group}.values()
                ),
            )
            for study, group in by_study.items()
        ]

    def _study_uid(self, study: str) -> str:
        uid = self._study_uids.get(study)
        if uid is None:
            uid = self._study_uids[study] = self._orthanc.study(study).uid
            while len(self._study_uids) > _STUDIES_REMEMBERED:
                self._study_uids.popitem(last=False)
        return uid
