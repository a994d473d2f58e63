# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Follows Orthanc's change log with a cursor in the ledger, and finds the series that the log leaves out.

New instances become arrivals of their study; the cursor moves in the same transaction. The log cannot be trusted
alone: it may have been cleared, or Orthanc's database restored or replaced, so that its numbers start again. Then, and
at each start, a sweep over all series finds what was missed.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from appliance.intake.snapshot import Snapshots
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, KnownSeries, Origin, Position
from appliance.orthanc import Change, HeldSeries, NotThereError, Orthanc, OrthancError

_NEW_INSTANCE: Final = "NewInstance"
_PAGE: Final = 200
_SWEPT_AT_ONCE: Final = 20
_STUDIES_REMEMBERED: Final = 2000


@dataclass(frozen=True)
class Placed:
    """An instance of the change log with its place; `stamped` when the plugin said when it was received."""

    instance: str
    series: HeldSeries
    received_at: float
    quiet_from: float
    stamped: bool


@dataclass(frozen=True)
class TakenIn:
    """What one page of the change log led to; `done` when there is no more yet."""

    placed: tuple[Placed, ...] = ()
    done: bool = True
    restarted: bool = False


class ChangeFeed:
    """Orthanc's change log, taken in page by page. `since` is a UTC date (YYYYMMDD) for the very first start."""

    def __init__(
        self,
        orthanc: Orthanc,
        ledger: Ledger,
        snapshots: Snapshots,
        since: str = "",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._snapshots = snapshots
        self._since = since
        self._clock = clock
        self._study_uids: OrderedDict[str, str] = OrderedDict()

    def connect(self) -> bool:
        """Find the place in the change log; return whether its numbers started again since the cursor was stored.

        The very first start begins at the newest entry, or at `since`: an install on a full archive must not queue
        years.
        """
        position = self._ledger.feed.position()
        if position is None:
            newest = self._orthanc.newest_change()
            last = newest.changes[-1] if newest.changes else None
            began = last.date + 1 if last else self._clock()
            if self._since:
                began = datetime.strptime(self._since, "%Y%m%d").replace(tzinfo=UTC).timestamp()
            self._ledger.feed.begin(Position(newest.last, last.fingerprint if last else "", began))
            return False
        if position.seq == 0 or not position.fingerprint:
            return False
        there = self._orthanc.changes(position.seq - 1, 1).changes
        if there and there[0].seq == position.seq:
            restarted = there[0].fingerprint != position.fingerprint
        else:  # the entry went with its study, or the log is shorter than it was
            restarted = self._orthanc.newest_change().last < position.seq
        if restarted:
            self._reposition(position)
        return restarted

    def _reposition(self, position: Position) -> None:
        newest = self._orthanc.newest_change()
        fingerprint = newest.changes[-1].fingerprint if newest.changes else ""
        self._ledger.feed.advance(position, Position(newest.last, fingerprint, position.began))

    def take_in(self, stamps: Mapping[str, float]) -> TakenIn:
        """Take in the next page; `stamps` are the times at which the plugin saw instances, by instance."""
        position = self._ledger.feed.position()
        if position is None:
            self.connect()
            return TakenIn(done=False)
        page = self._orthanc.changes(position.seq, _PAGE)
        if not page.changes:
            if page.last < position.seq:
                self._reposition(position)
                return TakenIn(restarted=True)
            return TakenIn()
        placed = self._place([change for change in page.changes if change.type == _NEW_INSTANCE], stamps)
        after = Position(page.changes[-1].seq, page.changes[-1].fingerprint, position.began)
        if not self._ledger.feed.advance(position, after, self._arrivals(placed, live=True)):
            return TakenIn(done=False)
        return TakenIn(tuple(placed), page.done)

    def _place(self, changes: list[Change], stamps: Mapping[str, float]) -> list[Placed]:
        now = self._clock()
        held: dict[str, HeldSeries | None] = {}
        placed = []
        for change in changes:
            try:
                series = self._orthanc.series_of_instance(change.resource)
            except OrthancError:
                continue  # deleted meanwhile, or nothing that could be read anyway
            if series not in held:
                held[series] = self._foreign(series)
            found = held[series]
            if found is None:
                continue
            stamp = stamps.get(change.resource)
            if stamp is not None:
                # A wrong clock must not keep the study waiting, nor let it be decided before it was quiet.
                received = quiet_from = min(max(stamp, change.date - 1), now)
            else:
                received, quiet_from = change.date, min(change.date + 1, now)
            placed.append(Placed(change.resource, found, received, quiet_from, stamp is not None))
        return placed

    def _foreign(self, identifier: str) -> HeldSeries | None:
        """Return the series unless it is our own result or gone."""
        known = self._ledger.series.known([identifier]).get(identifier)
        if known is not None and known.origin is Origin.OWN:
            return None
        try:
            series = self._orthanc.series(identifier)
            if known is None and self._snapshots.is_own(series):
                self._ledger.series.note([KnownSeries(series.id, series.study, Origin.OWN, len(series.instances))])
                return None
            self._study_uid(series.study)
        except NotThereError:
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

    def sweep(self, counting: bool) -> Iterator[int]:
        """Find the series that the change log left out; yield now and then how many were found.

        Series that the ledger does not know are noted as ours or as older than the appliance, or taken in. With
        `counting` (the log started again) a series with another number of instances than the ledger knows counts too.
        """
        position = self._ledger.feed.position()
        if position is None:
            return
        everything = self._orthanc.series_ids()
        for start in range(0, len(everything), _PAGE):
            part = everything[start : start + _PAGE]
            known = self._ledger.series.known(part)
            suspect = [
                series for series in part if series not in known or (counting and known[series].origin is Origin.SOURCE)
            ]
            for batch in range(0, len(suspect), _SWEPT_AT_ONCE):
                yield self._sweep(suspect[batch : batch + _SWEPT_AT_ONCE], known, position)

    def _sweep(self, suspect: list[str], known: Mapping[str, KnownSeries], position: Position) -> int:
        arrivals, silent = [], []
        for identifier in suspect:
            try:
                series = self._orthanc.series(identifier)
                before = known.get(identifier)
                if before is not None:
                    if before.instances == len(series.instances):
                        continue
                elif series.last_update < position.began:
                    silent.append(KnownSeries(series.id, series.study, Origin.BASELINE, len(series.instances)))
                    continue
                elif self._snapshots.is_own(series):
                    silent.append(KnownSeries(series.id, series.study, Origin.OWN, len(series.instances)))
                    continue
                now = self._clock()
                at, quiet_from = min(series.last_update, now), min(series.last_update + 1, now)
                known_now = KnownSeries(series.id, series.study, Origin.SOURCE, len(series.instances))
                uid = self._study_uid(series.study)
                arrivals.append(Arrival(series.study, uid, at, quiet_from, False, (known_now,)))
            except NotThereError:
                continue
        self._ledger.series.note(silent)
        if arrivals:
            self._ledger.feed.notice(arrivals)
        return len(arrivals)
