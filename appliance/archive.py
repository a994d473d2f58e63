# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps Orthanc's storage and the ledger from filling up: old studies are removed where a setting asks for it.

A study is removed as a whole, with its results, and only once it is finished: it was answered or refused, and no answer
is in progress. An unfinished study stays, however old it is and however full the archive. When only these are left, the
archive grows over its size and says so (`hemorrhage_archive_over_bytes`). Studies that the ledger does not follow
(older than the appliance) are never touched, nor are those of a patient that Orthanc protects. Nor is a study that
Orthanc holds more of than intake has noticed. None of these keeps a later study from being removed.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from appliance.clocks import DAY_S
from appliance.errors import UnavailableError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import FollowedStudy, Origin
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.settings import Settings

_EVERY_S: Final = 300.0
_AT_ONCE: Final = 100


class Archive:
    """What is kept, and for how long."""

    def __init__(
        self, settings: Settings, orthanc: Orthanc, ledger: Ledger, metrics: Metrics, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._clock = clock
        self._log = structlog.get_logger("archive")

    def run(self, stopping: threading.Event, every_s: float = _EVERY_S) -> None:
        """Look every few minutes until `stopping` is set."""
        while not stopping.is_set():
            for look in (self.measure, self.tidy, self.prune):
                try:
                    look()
                except Exception as error:  # the next look tries again, and nothing depends on it meanwhile
                    self._log.warning("archive not looked through", step=look.__name__, error=describe(error))
            stopping.wait(every_s)

    def measure(self) -> None:
        """Tell the metrics how much room there is, and how much Orthanc and the ledger take."""
        for place, folder in (("state", self._settings.state_dir), ("orthanc", self._settings.orthanc.storage)):
            if folder is not None:
                self._measure_disk(place, folder)
        for table, rows in self._ledger.keeping.rows().items():
            self._metrics.ledger_rows.labels(table).set(rows)
        self._metrics.archive_bytes.set(self._orthanc.stored_bytes())

    def _measure_disk(self, place: str, folder: Path) -> None:
        disk = os.statvfs(folder)
        self._metrics.disk_free.labels(place).set(disk.f_bavail * disk.f_frsize)
        self._metrics.disk_size.labels(place).set(disk.f_blocks * disk.f_frsize)

    def tidy(self) -> int:
        """Remove from Orthanc the studies that the settings no longer keep; return how many."""
        keep = self._settings.archive
        removed = 0
        if keep.keep_days:
            before = self._clock() - keep.keep_days * DAY_S
            removed += sum(self._remove(study, "age") for study in self._removable(before))
        if keep.most_gb:
            removed += self._make_room(int(keep.most_gb * 1e9))
        return removed

    def _make_room(self, most: int) -> int:
        removed, over = 0, self._orthanc.stored_bytes() - most
        for study in self._removable(None) if over > 0 else ():
            if self._remove(study, "size"):
                removed += 1
                over = self._orthanc.stored_bytes() - most
            if over <= 0:
                break
        self._metrics.archive_over.set(max(0, over))
        if over > 0:
            self._log.warning("the archive is over archive.most_gb", bytes=over)
        return removed

    def _removable(self, before: float | None) -> Iterator[FollowedStudy]:
        """Yield every study that may be removed, the oldest first: those that stay keep no later one from it."""
        after = None
        while page := self._ledger.keeping.removable(before, after, _AT_ONCE):
            yield from page
            after = page[-1]

    def _remove(self, study: FollowedStudy, why: str) -> bool:
        """Remove a study from Orthanc, unless a part of it is not read yet or its patient is protected.

        Raises `UnavailableError` when Orthanc or the ledger does not answer.
        """
        try:
            if self._orthanc.is_protected(study.id) or not self._knows_all(study.id):
                return False
            if not self._ledger.keeping.may_go(study):
                return False
            self._orthanc.delete_study(study.id)
        except NotThereError:
            self._ledger.studies.delete(study.id)  # Orthanc did not report it
            return False
        except (OrthancError, UnavailableError) as error:
            if isinstance(error, UnavailableError):
                self._orthanc.system()  # when that does not answer either, every study stays and not only this one
            self._log.warning("a study cannot be removed from the archive", study=study.uid, error=describe(error))
            return False
        self._ledger.keeping.note_removal(study, why)
        self._ledger.studies.delete(study.id)
        self._metrics.removed.labels(why).inc()
        self._log.info("study removed from the archive", study=study.uid, why=why)
        return True

    def _knows_all(self, study: str) -> bool:
        """Return whether the ledger knows as many instances of each series from outside as Orthanc holds.

        Otherwise some came of which intake does not know yet.
        """
        there = self._orthanc.study(study).series
        known = self._ledger.series.find_known(there)
        return known.keys() == set(there) and all(
            one.origin is Origin.OWN or len(self._orthanc.series(one.id).instances) <= one.instances
            for one in known.values()
        )

    def prune(self) -> None:
        """Remove the rows of studies that left Orthanc long ago from the ledger."""
        days = self._settings.ledger.keep_days
        if not days:
            return
        gone = self._ledger.keeping.prune(self._clock() - days * DAY_S)
        if gone.studies:
            self._metrics.pruned.inc(gone.studies)
            self._log.info("ledger pruned", studies=gone.studies, jobs=gone.jobs, series=gone.series)
