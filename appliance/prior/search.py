# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Finds the prior head CT of an answer: the last one of the same patient that was scanned before it and answered.

Only studies in the appliance's Orthanc are looked at (`retrieve` brings some of the PACS there). What makes an earlier
scan the prior:

- It was answered; an unread one says nothing of blood. An answer about a part of the head counts: it is the last scan,
  and that its volumes cannot be compared is said.
- It is still in Orthanc, where its header can be read, and that header does not contradict the new one's about who the
  patient is (`patient`).
- It was scanned before, by the headers' times, half an hour at least: what is nearer is of the same examination. Of two
  of one day both need a time. A copy of the same scan under another UID has the same time, and is no prior.
- Of several the last is taken, and the last about a whole head before one about a part; one that was scanned later is
  never a prior, however early it was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from appliance.errors import ApplianceError, UnavailableError
from appliance.findings.change import Caveat, Compared, Comparison, Doubt, HeadScan, PriorScan, Withheld, compare
from appliance.ledger.ledger import Ledger
from appliance.ledger.outcomes import Stance
from appliance.ledger.records import Job
from appliance.log import describe
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.prior.patient import doubt, is_placeholder
from appliance.prior.scan_time import ScanTime, parse_scan_time, scan_time

_MOST_ANSWERS: Final = 200
"""So many answers about other studies of a patient are looked at, those that were given last."""
_MOST_UNTIMED: Final = 20
"""Of so many of them the header is read to know when they were scanned: answers of a version that did not note it."""
_MOST_HEADERS: Final = 5
"""So many earlier scans are tried, the last first, until one is of the same patient."""
_MOST_FOLLOWING: Final = 3
_LEAST_HOURS: Final = 0.5
"""Scans that are less apart are of one examination: a second series filed as a study of its own, or a scan repeated."""
_START: Final = datetime(1, 1, 1)
_FUTURE: Final = timedelta(days=2)
"""A scan that is dated further ahead of the appliance's clock has no usable time."""


@dataclass(frozen=True)
class Prior:
    """The answer about an earlier head CT; `hours` lie between the two scans."""

    job: Job
    scanned: ScanTime
    hours: float
    to_the_day: bool
    passed_over: tuple[Caveat, ...] = ()
    """Why later scans than this were passed over, where a reader should know."""


@dataclass(frozen=True)
class _Candidate:
    job: Job
    at: ScanTime


class PriorSearch:
    """Looks in Orthanc and the ledger. May be used from several threads at once."""

    def __init__(self, orthanc: Orthanc, ledger: Ledger) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._log = structlog.get_logger("prior")

    def compared(self, study: str, header: Mapping[str, Any], now: HeadScan) -> Compared:
        """Return the comparison of `now`, read of Orthanc's `study`, with its prior; see `find`."""
        prior = self.find(study, header, now.partial)
        if not isinstance(prior, Prior):
            return prior
        job = prior.job
        then = HeadScan.of_answer(job.answer)
        scan = PriorScan(job.study_uid, job.sr_class_uid, job.sr_uid, job.id, then.outcome.value, str(prior.scanned))
        change = compare(then, now)
        said = self._ledger.opinions.of_answers([job.answer_key])[job.answer_key]
        disputed = (Caveat.DISPUTED,) if said and said[-1].stance is Stance.DISAGREES else ()
        change = replace(change, caveats=(*change.caveats, *disputed, *prior.passed_over))
        return Comparison(scan, prior.hours, prior.to_the_day, change)

    def find(self, study: str, header: Mapping[str, Any], partial: bool = False) -> Prior | Withheld | None:
        """Return the prior of Orthanc's `study`, why it is not compared with, or None where there is none.

        `header` holds the values of an image that was read, by keyword; `partial` says that only a part of the head
        was read, so that no prior can be compared and the last is named. Raises `UnavailableError` when Orthanc or the
        ledger does not answer.
        """
        patient_id = str(header.get("PatientID") or "").strip(" \0")
        if not patient_id:
            return None  # everybody without an ID is one patient in Orthanc: nobody expects a comparison
        if is_placeholder(patient_id):
            return Withheld(Doubt.PLACEHOLDER_ID)
        others = self._answers_of_others(study)
        if not others:
            return None
        at = usable_time(header, self._ledger.clock())
        if at is None:
            return Withheld(Doubt.NO_TIME)
        candidates, doubts = self._earlier(others, at)
        passed_over = {Caveat.PASSED_OVER_SAME} if Doubt.SAME_EXAMINATION in doubts else set()
        last_part: Prior | None = None
        for one in candidates[:_MOST_HEADERS]:
            try:
                then = self.header(one.job)
            except NotThereError:
                continue
            except (ApplianceError, ValueError, LookupError) as error:
                self._pass_over(one.job, error)
                doubts.append(Doubt.UNREADABLE)
                continue
            found = doubt(header, then)
            if found is not None:
                doubts.append(found)
                continue
            to_the_day = not (one.at.has_time and at.has_time)
            prior = Prior(one.job, one.at, one.at.hours_until(at), to_the_day, tuple(sorted(passed_over)))
            if partial or not HeadScan.of_answer(one.job.answer).partial:
                return prior
            last_part = last_part or prior
            passed_over.add(Caveat.PASSED_OVER_PART)
        return last_part or (Withheld(doubts[0]) if doubts else None)

    def next_after(self, job: Job) -> list[Job]:
        """Return the answers about the patient's scans that followed the one that `job` is about, the next first.

        A few of them, since the next one may be of a part of the head, or have a second scan of the same examination
        behind it: then the prior of that is the same. Who the patient is, is not looked at. Raises `UnavailableError`
        as `find` does.
        """
        at = parse_scan_time(str((job.answer.get("series") or {}).get("scanned") or ""))
        if at is None:
            return []
        timed = self._timed(self._answers_of_others(job.orthanc_study))
        later = [one for one in timed if one.at.is_order_known(at) and at.hours_until(one.at) >= _LEAST_HOURS]
        return [one.job for one in sorted(later, key=lambda one: at.hours_until(one.at))[:_MOST_FOLLOWING]]

    def _answers_of_others(self, study: str) -> list[Job]:
        try:
            others = [one for one in self._orthanc.studies_of_patient(study) if one != study]
        except NotThereError:
            return []
        return self._ledger.jobs.newest_answers_of(others, _MOST_ANSWERS)

    def _earlier(self, answers: list[Job], at: ScanTime) -> tuple[list[_Candidate], list[Doubt]]:
        """Return the answers about scans before `at`, the last scan first, and why others may not be before it."""
        earlier, doubts = [], []
        for one in self._timed(answers):
            hours = one.at.hours_until(at)
            if not one.at.is_order_known(at):
                doubts.append(Doubt.SAME_DAY_NO_TIME)
            elif hours >= _LEAST_HOURS:
                earlier.append(one)
            elif hours > 0:
                doubts.append(Doubt.SAME_EXAMINATION)
        if not earlier and not doubts and any(_is_undated(one) for one in answers):
            doubts.append(Doubt.UNDATED)
        # Of one day without a time of the new scan, the latest is the last one.
        return sorted(earlier, key=lambda one: (one.at.hours_until(at), _START - one.at.at, -one.job.id)), doubts

    def _timed(self, answers: list[Job]) -> list[_Candidate]:
        """Return the answers whose time of scan is known: noted with them, or in a header, of a few of them."""
        found, read = [], 0
        for job in answers:
            noted = (job.answer.get("series") or {}).get("scanned")
            if noted is not None:
                at = parse_scan_time(str(noted))
            elif read < _MOST_UNTIMED:
                read += 1
                at = self._time_in_header(job)
            else:
                at = None
            if at is not None:
                found.append(_Candidate(job, at))
        return found

    def _time_in_header(self, job: Job) -> ScanTime | None:
        try:
            return usable_time(self.header(job), self._ledger.clock())
        except NotThereError:
            return None
        except (ApplianceError, ValueError, LookupError) as error:
            self._pass_over(job, error)
            return None

    def header(self, job: Job) -> dict[str, Any]:
        """Return the header of an image that a job read. Raises `NotThereError` when Orthanc no longer holds one."""
        for identifier in self._orthanc.study(job.orthanc_study).series:
            series = self._orthanc.series(identifier)
            if series.uid == job.answered_series and series.instances:
                return self._orthanc.header(series.instances[0])
        raise NotThereError("Orthanc no longer holds the series of the prior")

    def _pass_over(self, job: Job, error: Exception) -> None:
        """Log that a study is not compared with. Raises `UnavailableError` where Orthanc as a whole is away."""
        if isinstance(error, UnavailableError):
            self._orthanc.system()
        self._log.warning("a prior CT cannot be read and counts as none", study=job.study_uid, error=describe(error))


def _is_undated(job: Job) -> bool:
    """Return whether it was noted of an answer that its scan has no usable date."""
    return (job.answer.get("series") or {}).get("scanned") == ""


def usable_time(header: Mapping[str, Any], now: float) -> ScanTime | None:
    """Return when an image was scanned; None if its header does not say, or names a time that is yet to come.

    `now` is the appliance's time (Unix seconds).
    """
    at = scan_time(header)
    return None if at is None or at.at > datetime.fromtimestamp(now) + _FUTURE else at
