# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Notices that Orthanc has lost a report or a segmentation since it was stored: deleted, or missing in a backup.

It looks for the valid reports one after another, the newest first, and starts over after a while. A study without its
report is followed again, which leads to the same answer with the same UIDs. If that was in vain several times, somebody
or something deletes on purpose, and the study is left alone. So is a study that was itself deleted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import structlog

from appliance.errors import UnavailableError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, Job
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.results import kinds

WATCHED: Final = frozenset({kinds.SR.name, kinds.SEG.name, kinds.REFUSAL.name})
"""Not key images: an answer may be valid without those that could not be drawn."""
MOST_ANSWERS: Final = 4
_AT_ONCE: Final = 10
_PAUSE_S: Final = 1.0


class LostResults:
    """Goes through the valid reports, a few at each `step`, and starts over every `every_s`."""

    def __init__(
        self,
        orthanc: Orthanc,
        ledger: Ledger,
        every_s: float,
        clock: Callable[[], float],
        waits: Callable[[], float] = time.monotonic,
    ) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._every_s = every_s
        self._clock = clock
        self._waits = waits
        self._before: int | None = None
        self._next = waits() + _PAUSE_S
        self._left_alone: set[str] = set()
        self._log = structlog.get_logger("intake")

    def hurry(self) -> None:
        """Start over now, because a result was deleted."""
        self._before, self._next = None, self._waits()

    def step(self) -> int:
        """Look for the next few reports, if it is time; return how many studies need to be answered again.

        A fault with one report leaves out only that one, until the next round. Raises `UnavailableError` when Orthanc
        or the ledger does not answer.
        """
        if not self._every_s or self._waits() < self._next:
            return 0
        jobs = self._ledger.jobs.list_standing(self._before, _AT_ONCE)
        newest = {job.orthanc_study: job for job in reversed(jobs)}
        lost = sum(map(self._look_for, newest.values()))
        self._before = jobs[-1].id if len(jobs) == _AT_ONCE else None
        self._next = self._waits() + (_PAUSE_S if self._before is not None else self._every_s)
        return lost

    def _look_for(self, job: Job) -> bool:
        try:
            return lacks_results(job, self._orthanc, self._ledger) and self._follow_again(job)
        except (OrthancError, UnavailableError) as error:
            if isinstance(error, UnavailableError):
                self._orthanc.system()  # when that does not answer either, every report waits and not only this one
            self._log.warning("a report cannot be looked for", study=job.study_uid, job=job.id, error=describe(error))
            return False

    def _follow_again(self, job: Job) -> bool:
        if job.orthanc_study in self._left_alone:
            return False
        try:
            self._orthanc.study(job.orthanc_study)
        except NotThereError:
            return False
        same = [one for one in self._ledger.jobs.of_study(job.orthanc_study) if one.sr_uid == job.sr_uid]
        if len(same) >= MOST_ANSWERS:
            self._left_alone.add(job.orthanc_study)
            self._log.error(
                "results are deleted again and again, and not stored any more", study=job.study_uid, times=len(same)
            )
            return False
        self._log.warning("results are gone: the study is answered again", study=job.study_uid, job=job.id)
        now = self._clock()
        self._ledger.feed.notice(
            [Arrival(job.orthanc_study, job.study_uid, job.last_instance_at, now, live=False, series=())]
        )
        return True


def lacks_results(job: Job, orthanc: Orthanc, ledger: Ledger) -> bool:
    """Return whether Orthanc lacks the report of a valid job, or its segmentation."""
    return not all(
        orthanc.holds_instance(result.orthanc_instance)
        for result in ledger.jobs.results(job.id)
        if result.kind in WATCHED and (result.kind == kinds.SEG.name or result.sop_instance_uid == job.sr_uid)
    )
