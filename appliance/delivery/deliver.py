# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The end of a job: its results are stored in Orthanc, and its answer or its refusals are recorded.

Results of superseded answers are withdrawn, and those of interrupted tries are removed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from typing import Final

import structlog

from appliance.delivery.marks import Marks
from appliance.delivery.refusals import RefusalReports
from appliance.delivery.store import result_objects, store
from appliance.delivery.summary import summary
from appliance.errors import DrawingError, Refusal, RefusalCode, UnavailableError
from appliance.findings.change import ComparisonOutcome
from appliance.intake.snapshot import Snapshot, Snapshots
from appliance.job_instances import series_to_read
from appliance.leases import Leases
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import OrthancError
from appliance.pipeline import ReadAnswer
from appliance.settings import Settings
from appliance.steps import Step, StepClock

GONE: Final = Refusal(RefusalCode.SOURCE_DELETED, "the study or series was deleted before it was answered")


class Delivery:
    """Stores and records the outcome of jobs. Its log lines are the worker's."""

    def __init__(
        self,
        leases: Leases,
        settings: Settings,
        orthanc: Orthanc,
        ledger: Ledger,
        snapshots: Snapshots,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._leases = leases
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._refusal_reports = RefusalReports(settings, orthanc, ledger, snapshots, metrics)
        self._marks = Marks(orthanc, ledger, metrics)
        self._clock = clock
        self._log = structlog.get_logger("worker")

    def predecessor(self, job: Job, snapshot: Snapshot) -> tuple[str, str] | None:
        """Return the SR that this job's SR will replace, None when there is none, or no longer."""
        standing = [older for older in self._ledger.jobs.of_study(job.orthanc_study) if older.has_report]
        series_uid = series_to_read(job, snapshot) if standing else ""
        for older in reversed(standing):
            if older.gives_way_to(job, series_uid):
                for result in self._ledger.jobs.results(older.id):
                    if result.sop_instance_uid == older.sr_uid and self._orthanc.holds_instance(
                        result.orthanc_instance
                    ):
                        return older.sr_class_uid, older.sr_uid
        return None

    def deliver(self, job: Job, answer: ReadAnswer, refusals: tuple[Refusal, ...], clock: StepClock) -> None:
        """Store the results of an answer and record it; withdraw what it supersedes.

        Without the first and the last image of the stack in Orthanc the study is refused instead. Raises `LostJobError`
        and `UnavailableError`; the job is then tried again.
        """
        results, stack = answer.results, answer.stack
        sources = (stack.instances[0].ref, stack.instances[-1].ref)
        structlog.contextvars.bind_contextvars(step=Step.DELIVER.value)
        begun = self._clock()
        if not self._holds_all(sources):
            self.refuse(job, (*refusals, GONE), clock.timing_ms)
            return
        facts = summary(answer)
        self._ledger.jobs.deliver(
            job,
            result_objects(results.list_announced()),
            facts,
            refusals,
            stack.slice_set_hash,
            stack.series_uid,
            None if answer.compared is None else answer.compared.facts,
        )
        stored, sr_stored_at = [], begun
        try:
            for _, dataset in results.make_datasets():
                self._leases.get_on(job)
                stored.append(store(self._orthanc, dataset))
                if dataset is results.sr:
                    sr_stored_at = self._clock()
        except DrawingError as error:  # SEG and SR are stored, and nothing that refers to a picture
            self._metrics.undrawn.inc()
            self._log.error("answered without all key images", error=str(error))
        for kind, why in results.unmade.items():
            self._metrics.unmade.labels(kind).inc()
            self._log.error("answered without a result object", kind=kind, error=why)
        clock.add(Step.DELIVER, sr_stored_at - begun, begun)
        clock.add(Step.DELIVER_REST, self._clock() - sr_stored_at, sr_stored_at)
        if not self._holds_all(sources):  # deleted while we stored: results without their source help nobody
            self._ledger.jobs.confirm(job)
            for identifier in stored:
                self._orthanc.delete_instance(identifier)
            self.refuse(job, (*refusals, GONE), clock.timing_ms)
            return
        self._remove_leftovers(job, stored)
        self._withdraw_superseded(job, str(results.sr.SOPInstanceUID), stack.series_uid, stored)
        self._marks.answered(job, facts, refusals, stack.series_uid, stored)
        turnaround_s = sr_stored_at - job.last_instance_at if job.live and not job.requested else None
        if turnaround_s is not None and turnaround_s < 0:  # noted by a service whose clock was ahead
            turnaround_s = None
        superseded = self._ledger.jobs.finish(
            job, str(results.sr.SOPClassUID), str(results.sr.SOPInstanceUID), clock.timing_ms, turnaround_s
        )
        self._account(answer, refusals, clock.timing_ms, turnaround_s)
        self._log.info(
            "study answered",
            present=answer.finding.present,
            partial=answer.covered.partial,
            turnaround_s=turnaround_s and round(turnaround_s, 3),
            timing_ms={step: round(ms, 1) for step, ms in clock.timing_ms.items()},
            superseded=superseded,
        )
        self._marks.settle(job)

    def refuse(
        self, job: Job, refusals: tuple[Refusal, ...], timing_ms: dict[str, float], *, reported: bool = True
    ) -> None:
        """Record that a study is not read, and why; `reported` says whether a report of it may go to Orthanc.

        Raises `LostJobError` and `UnavailableError`; the job is then tried again. With `reported` it raises
        `OrthancError` too, where Orthanc refuses something else than the report.
        """
        report = self._refusal_reports.deliver(job, refusals) if reported else None
        stored = () if report is None else report[:1]
        try:
            self._remove_leftovers(job, stored)
            self._marks.refused(job, refusals, stored)
        except OrthancError as error:
            if reported or isinstance(error, UnavailableError):
                raise
            self._log.error("refused, and Orthanc does not show it", error=describe(error))
        self._ledger.jobs.refuse(job, refusals, timing_ms, *(("", "") if report is None else report[1:]))
        self._record_timing(timing_ms)
        for refusal in refusals:
            self._metrics.refusals.labels(refusal.code.value, "refused").inc()
        self._log.info(
            "study refused", refusals=[{"code": refusal.code.value, "reason": refusal.reason} for refusal in refusals]
        )

    def _remove_leftovers(self, job: Job, stored: Collection[str]) -> None:
        """Delete stored results of an unfinished answer that this one, now stored, replaces.

        No newer answer names them, so the study would have two answers, or half of one beside the whole.
        """
        self._ledger.jobs.confirm(job)
        for result in self._ledger.jobs.leftovers(job):
            if result.orthanc_instance not in stored:
                self._orthanc.delete_instance(result.orthanc_instance)

    def _withdraw_superseded(self, job: Job, sr_uid: str, series_uid: str, stored: Collection[str]) -> None:
        """Delete the SEG, key images and key objects of the answers that this one, now stored, supersedes.

        They would be shown beside the new ones as if both were valid. The older SR stays on record, and the new one
        names it. If a try ends between this and its record, the next try does it again.
        """
        kept = set(stored)
        for older in self._ledger.jobs.of_study(job.orthanc_study):
            if older.id == job.id or older.sr_uid == sr_uid or not older.gives_way_to(job, series_uid):
                continue
            for result in self._ledger.jobs.results(older.id):
                if result.sop_instance_uid != older.sr_uid and result.orthanc_instance not in kept:
                    self._orthanc.delete_instance(result.orthanc_instance)

    def _holds_all(self, sources: tuple[str, ...]) -> bool:
        return all(self._orthanc.holds_instance(source) for source in sources)

    def _account(
        self, answer: ReadAnswer, refusals: tuple[Refusal, ...], timing_ms: dict[str, float], turnaround_s: float | None
    ) -> None:
        if turnaround_s is not None:
            self._metrics.turnaround.observe(turnaround_s)
        self._record_timing(timing_ms)
        for refusal in refusals:
            self._metrics.refusals.labels(refusal.code.value, "answered").inc()
        self._metrics.answers.labels("present" if answer.finding.present else "absent").inc()
        if answer.covered.partial:
            self._metrics.partial.inc()
        if answer.compared is not None:
            self._metrics.compared.labels(ComparisonOutcome.of(answer.compared).value).inc()
        for flaw in answer.flaws:
            self._metrics.flaws.labels(flaw.code.value).inc()

    def _record_timing(self, timing_ms: dict[str, float]) -> None:
        for step, ms in timing_ms.items():
            self._metrics.step.labels(step).observe(ms / 1000)
