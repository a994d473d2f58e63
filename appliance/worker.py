# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The thread that answers decided studies: claim a job, run the pipeline, have the results delivered.

Whatever goes wrong with one study affects only that study. While a neighbour does not answer, or the machine lacks room
or memory, the job waits. A study that breaks the pipeline itself is tried again a few times and then refused with the
evidence; so is a study that provably kills the process that reads it (`trial`). If not even this can be recorded, the
job is taken up again (`leases`).
"""

from __future__ import annotations

import errno
import gc
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, Protocol

import structlog

from appliance.ahead import ReadingAhead, Taken
from appliance.delivery.deliver import GONE, Delivery
from appliance.errors import ModelContractError, Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.intake.handover import Handover
from appliance.intake.snapshot import Snapshot, Snapshots
from appliance.job_instances import instances_to_answer
from appliance.leases import Leases
from appliance.ledger.job_rows import LostJobError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc_errors import NotThereError
from appliance.pipeline import Answer, ReadAnswer, ReadStudy, Study, UnreadAnswer
from appliance.prior.lookup import PriorLookup
from appliance.settings import Settings
from appliance.steps import Step, StepClock
from appliance.traces import OFF, Trace
from appliance.trial import KillsReaderError, is_trial_due

_LONGEST_WAIT_S: Final = 5.0
_KILLS: Final = 2
"""How many processes that only read it a study may kill before it is set aside."""
_OF_THE_MACHINE: Final = frozenset(
    {
        errno.EACCES,
        errno.EAGAIN,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EIO,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ENOSPC,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Faults of the system that no study is to blame for."""


class TriesApart(Protocol):
    """What a worker needs of `Trial`."""

    def run(self, study_uid: str, instances: Sequence[str], left_out: Sequence[str] = ()) -> None:
        """Read a study in a process of its own; raises `KillsReaderError` or `UnavailableError`."""
        ...


class Reader(Protocol):
    """What a worker needs of the pipeline."""

    def answer(self, study: Study, read: ReadStudy | UnreadAnswer | None = None) -> Answer:
        """Return the answer about a study; `read` is an earlier reading of it."""
        ...


class Worker:
    """Answers studies; `run` is the body of its thread.

    `reader` returns the pipeline, and raises `UnavailableError` as long as there is none.
    """

    def __init__(
        self,
        leases: Leases,
        settings: Settings,
        ledger: Ledger,
        snapshots: Snapshots,
        handover: Handover,
        ahead: ReadingAhead,
        reader: Callable[[], Reader],
        trial: TriesApart,
        priors: PriorLookup,
        delivery: Delivery,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        begin_trace: Callable[[], Trace] = lambda: OFF,
    ) -> None:
        self._leases = leases
        self._settings = settings
        self._ledger = ledger
        self._snapshots = snapshots
        self._handover = handover
        self._ahead = ahead
        self._reader = reader
        self._trial = trial
        self._metrics = metrics
        self._priors = priors
        self._delivery = delivery
        self._clock = clock
        self._begin_trace = begin_trace
        self._log = structlog.get_logger("worker")

    def run(self, stopping: threading.Event) -> None:
        """Answer studies until `stopping` is set (and the handover woken); the study in progress is finished."""
        failing, worked = "", False
        while not stopping.is_set():
            wake_ups = self._handover.wake_ups()
            try:
                if self.work():
                    worked = True
                else:
                    if worked:  # now, not in the middle of the next study, which it would delay by 0.1 s
                        gc.collect()
                    worked = False
                    self._handover.wait(wake_ups, self._seconds_to_next_try())
                failing = ""
            except Exception as error:  # the ledger is away: nothing could be recorded, so look again later
                if describe(error) != failing:
                    failing = describe(error)
                    self._log.error("worker waits", error=failing)
                stopping.wait(self._settings.intake.retry_first_s)

    def _seconds_to_next_try(self) -> float:
        at = self._ledger.queue.next_try()
        return _LONGEST_WAIT_S if at is None else min(_LONGEST_WAIT_S, max(0.0, at - self._clock()))

    def work(self) -> bool:
        """Take the next job one step to its end; return whether there was one.

        Raises `UnavailableError` when the ledger cannot record the end of the try: the job is then taken up again.
        """
        job = self._leases.claim()
        if job is None:
            return False
        recorded = False
        with structlog.contextvars.bound_contextvars(job=job.id, study=job.study_uid):
            try:
                self._try(job)
                recorded = True
            except LostJobError as error:
                recorded = True
                self._log.warning("job lost", error=describe(error))
            finally:
                self._leases.drop(job, recorded)
                structlog.contextvars.unbind_contextvars("step")
        return True

    def _try(self, job: Job) -> None:
        try:
            self._answer_or_break(job)
        except (UnavailableError, ModelContractError) as error:
            self._postpone(job, error)

    def _answer_or_break(self, job: Job) -> None:
        try:
            self._answer_or_refuse(job)
        except (LostJobError, UnavailableError, ModelContractError):
            raise
        except Exception as error:
            if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _OF_THE_MACHINE):
                self._postpone(job, error)
            else:
                self._record_crash(job, error)

    def _answer_or_refuse(self, job: Job) -> None:
        try:
            self._answer(job)
        except RefusedError as error:
            self._delivery.refuse(job, error.refusals, {})
        except KillsReaderError as error:
            self._record_kill(job, error)

    def _answer(self, job: Job) -> None:
        started = self._clock()
        if job.kills >= _KILLS:  # the service ended while it reported that
            self._set_aside(job, job.error, report=False)
            return
        try:
            if is_trial_due(job.deaths, job.deaths_at_trial):  # before this process looks at its images
                self._try_apart(job)
            snapshot = self._handover.take(job.id) or self._snapshots.of(job.orthanc_study, job.orthanc_series)
        except NotThereError:
            self._delivery.refuse(job, (GONE,), {})
            return
        whole = not job.requested and not job.left_out
        taken = self._ahead.take(job.orthanc_study, snapshot.instance_set) if whole else None
        trace = taken.trace if taken else self._begin_trace()
        with trace.whole() as about:
            about |= {"job": job.id, "try": job.tries, "read_ahead": taken is not None}
            answer = self._read(job, snapshot, taken, trace)
            about |= _describe_answer(answer)
            self._deliver(job, snapshot, answer, self._clocked(job, started, taken, answer, trace))

    def _read(self, job: Job, snapshot: Snapshot, taken: Taken | None, trace: Trace) -> Answer:
        study = Study(
            job.study_uid,
            instances_to_answer(job, snapshot),
            self._fetching(job),
            supersedes=self._delivery.predecessor(job, snapshot),
            unread=snapshot.unread,
            compare=lambda header, scan: self._priors.compare(job, header, scan),
            trace=trace,
        )
        with self._ahead.aside():
            answer = self._reader().answer(study, taken.read if taken else None)
        self._snapshots.release(snapshot)
        return answer

    def _clocked(self, job: Job, started: float, taken: Taken | None, answer: Answer, trace: Trace) -> StepClock:
        """Return the clock of a try with what went before it and what the pipeline clocked."""
        clock = StepClock(trace=trace)
        if not job.requested:
            ahead_s = taken.ahead_s if taken else 0.0
            clock.add(Step.QUIET, max(0.0, job.created - job.last_instance_at - ahead_s))
            # The trace shows the quiet time as it was; what was read ahead lies beside it.
            trace.add(Step.QUIET.value, job.last_instance_at, job.created - job.last_instance_at)
        clock.add(Step.QUEUE, max(0.0, started - job.created), job.created)
        clock.take_over(answer.timing_ms)
        return clock

    def _deliver(self, job: Job, snapshot: Snapshot, answer: Answer, clock: StepClock) -> None:
        refusals = (*snapshot.refusals, *answer.refusals)
        if isinstance(answer, ReadAnswer):
            self._delivery.deliver(job, answer, refusals, clock)
        else:
            self._delivery.refuse(job, refusals, clock.timing_ms)

    def _fetching(self, job: Job) -> Callable[[str], bytes]:
        def fetch(instance: str) -> bytes:
            self._leases.get_on(job)
            try:
                return self._snapshots.file(instance)
            except NotThereError:
                raise RefusedError(GONE) from None

        return fetch

    def _postpone(self, job: Job, error: Exception, *, unreported: bool = False) -> None:
        self._metrics.job_postponements.inc()
        next_try = self._clock() + self._pause_s(job)
        self._ledger.queue.postpone(job, describe(error), next_try, unreported=unreported)
        self._log.warning("job waits", error=describe(error), tries=job.tries)

    def _record_crash(self, job: Job, error: Exception) -> None:
        self._metrics.crashes.inc()
        if job.crashes + 1 >= self._settings.intake.poison_tries:
            reason = f"reading it broke the appliance {job.crashes + 1} times, the last time with {describe(error)}"
            self._log.error("study set aside", error=describe(error), tries=job.tries)
            for reported in (True, False):  # what breaks may be the report
                try:
                    self._delivery.refuse(job, (Refusal(RefusalCode.BREAKS_READER, reason),), {}, reported=reported)
                    return
                except (LostJobError, UnavailableError):
                    raise
                except Exception as again:
                    self._log.error("study not refused", error=describe(again), reported=reported)
        self._ledger.queue.postpone(job, describe(error), self._clock() + self._pause_s(job), crashed=True)
        self._log.error("job broke", error=describe(error), tries=job.tries)

    def _record_kill(self, job: Job, error: KillsReaderError) -> None:
        self._metrics.crashes.inc()
        if job.kills + 1 >= _KILLS:
            self._ledger.queue.note_kill(job, str(error))
            try:
                self._set_aside(replace(job, kills=job.kills + 1), str(error), report=True)
            except UnavailableError as away:  # the report did not kill it: it is made once Orthanc is back
                self._postpone(job, away, unreported=True)
        else:
            self._ledger.queue.postpone(job, describe(error), self._clock() + self._pause_s(job), killed=True)
            self._log.error("a study killed the process that read it", error=describe(error), tries=job.tries)

    def _set_aside(self, job: Job, evidence: str, *, report: bool) -> None:
        """Refuse a study that kills its reader; without a `report` in Orthanc if making the report may kill too."""
        reason = f"{evidence}, {job.kills} times; the service had ended {job.deaths} times in the middle of it"
        self._log.error("study set aside", error=reason, tries=job.tries)
        self._delivery.refuse(job, (Refusal(RefusalCode.BREAKS_READER, reason),), {}, reported=report)

    def _try_apart(self, job: Job) -> None:
        listed = self._snapshots.listed(job.orthanc_study, job.orthanc_series)
        self._trial.run(job.study_uid, listed.to_read, job.left_out)
        self._ledger.queue.note_trial(job)
        if not job.requested and not job.left_out:  # all of it was read
            self._ledger.studies.clear(job.orthanc_study)

    def _pause_s(self, job: Job) -> float:
        longest = self._settings.intake.retry_longest_s
        return float(min(longest, self._settings.intake.retry_first_s * 2 ** min(job.tries - 1, 20)))


def _describe_answer(answer: Answer) -> dict[str, str | int]:
    """Return what a trace says of an answer: nothing that leads to a person without the ledger."""
    about: dict[str, str | int] = {
        "model": f"{answer.model.name} {answer.model.version}",
        "refusals": ",".join(sorted({refusal.code.value for refusal in answer.refusals})),
    }
    if isinstance(answer, ReadAnswer):
        about |= {"answer": "present" if answer.finding.present else "absent", "slices": len(answer.stack.instances)}
    else:
        about["answer"] = "refused"
    return about
