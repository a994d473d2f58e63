# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""After an answer: is there a prior that had no answer yet when it was given, and what does it change?

Two scans may arrive together and be answered in either order; a prior may be sent, or fetched from the PACS, after the
scan that it is the prior of; Orthanc may have been slow. So each answer is looked after once it stands: its own prior
is looked for again, and that of the patient's next scans, whose prior it may be. Where a prior turns up that the answer
was not compared with, the study is answered again, behind all studies that arrive: the new report supersedes the older
one and says what has changed, and rules and messages follow as with any newer answer.

Nobody is told twice for nothing. If neither scan shows blood, or the answer is no news (a study that was sent in from
an archive, or one answered days ago), the comparison is kept in the ledger alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from appliance.clocks import DAY_S
from appliance.errors import ApplianceError, UnavailableError
from appliance.findings.change import TOTAL, Comparison, Doubt, HeadScan
from appliance.intake.handover import Handover
from appliance.ledger.ledger import Ledger
from appliance.ledger.news import ANSWERS
from appliance.ledger.records import OLD, Job
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.prior.retrieve import Retrieval
from appliance.prior.search import PriorSearch

_EVERY_S: Final = 10.0
_AT_ONCE: Final = 20
_NEWS_S: Final = 7 * DAY_S
"""Only an answer that is not older than this is given again for its comparison."""


class FollowUp:
    """Looks after answers; `run` is the body of its thread. `retrieval` is None where the PACS is not asked."""

    def __init__(
        self,
        orthanc: Orthanc,
        ledger: Ledger,
        handover: Handover,
        retrieval: Retrieval | None,
        clock: Callable[[], float],
    ) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._handover = handover
        self._search = PriorSearch(orthanc, ledger)
        self._retrieval = retrieval
        self._clock = clock
        self._news = threading.Event()
        ledger.news.follow(ANSWERS, self._news)
        self._log = structlog.get_logger("prior")

    def wake(self) -> None:
        """Wake the thread, because the service stops."""
        self._news.set()

    def run(self, stopping: threading.Event, every_s: float = _EVERY_S) -> None:
        """Look whenever an answer was given, and every few seconds, until `stopping` is set (and it is woken)."""
        failing = ""
        while not stopping.is_set():
            try:
                self.step()
                failing = ""
            except Exception as error:  # Orthanc or the ledger is away: the next round looks again
                if describe(error) != failing:
                    failing = describe(error)
                    self._log.warning("priors are not looked for", error=failing)
            self._news.wait(every_s)
            self._news.clear()

    def step(self) -> int:
        """Look after the answers that have not been; return how many.

        Raises `UnavailableError` when Orthanc or the ledger does not answer.
        """
        if self._retrieval is not None:
            self._retrieval.look()
        jobs = self._ledger.priors.to_follow_up(_AT_ONCE)
        for job in jobs:
            try:
                self._look_after(job)
            except (ApplianceError, ValueError, LookupError) as error:
                if isinstance(error, UnavailableError):
                    self._orthanc.system()  # raises if it is not about this study alone
                self._log.warning("priors are not looked for", study=job.study_uid, error=describe(error))
            self._ledger.priors.note_followed_up(job.id)
        return len(jobs)

    def _look_after(self, job: Job) -> None:
        if job.requested:
            return
        self._compare_again(job)
        for following in self._search.next_after(job):
            if not following.requested:
                self._compare_again(following)
        if self._retrieval is not None and job.live and not job.retrieved:
            self._retrieval.fetch(job, self._search.header(job))

    def _compare_again(self, job: Job) -> None:
        try:
            header = self._search.header(job)
        except NotThereError:
            return
        compared = self._search.compared(job.orthanc_study, header, HeadScan.of_answer(job.answer))
        if not isinstance(compared, Comparison):
            if job.change.get("withheld") == Doubt.NOT_IN_TIME:  # there was none to be found
                self._ledger.priors.note_change(job, {} if compared is None else compared.facts)
            return
        if not _is_news(compared.facts, job.change):
            return
        blood = compared.change.then(TOTAL) > 0 or compared.change.now(TOTAL) > 0
        is_recent = self._clock() - job.created < _NEWS_S
        if not (blood and is_recent and job.priority != OLD):
            self._ledger.priors.note_change(job, compared.facts)
            self._log.info("compared with a prior that came later", job=job.id, study=job.study_uid)
            return
        again = self._ledger.priors.answer_again(job)
        if again is not None:
            self._log.info("answered again for a prior that came later", job=job.id, again=again, study=job.study_uid)
            self._handover.wake()


def _is_news(found: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether a comparison is with another scan than a known one, or with other volumes of it.

    An answer about the prior that was only given again, perhaps for its own prior, is no news.
    """
    if "prior" not in known:
        return True
    return _about(found) != _about(known)


def _about(change: Mapping[str, Any]) -> tuple[Any, ...]:
    return change["prior"]["study_uid"], change["prior"]["answer"], change["comparable"], change["then_ml"]
