# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The shadow: a version of the detector that reads studies after another one has answered them.

Its readings are kept in the ledger, for `appliance models compare`, and never leave it: no result object is made.

It delays no arriving study. It begins only while nothing is answered, read ahead or waiting, and it gives way before
each file and each chunk. If its model has its own process on this machine, that process runs only when nothing else
wants the processor (SCHED_IDLE), so that even a chunk in progress gives way. While the shadow stands in for the
promoted version, it reads patients and nothing else, and its process has the usual priority (`ReadingRoom.probe`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Final

import structlog

from appliance.ahead import ReadingAhead
from appliance.errors import ApplianceError, GaveWayError, UnavailableError
from appliance.inference.detector import TritonDetector
from appliance.inference.regions import processes_of_model, region_prefix
from appliance.inference.served_model import Target
from appliance.intake.snapshot import Snapshots
from appliance.job_instances import instances_to_answer
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job, ModelChange, ShadowAnswer
from appliance.ledger.states import OPEN
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.models.priority import give_way_on_the_processor
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.pipeline import Pipeline, ReadStudy, Study
from appliance.results.facts import lesion_facts
from appliance.selection.look import Classifier
from appliance.settings import Settings

_LOOKS_EVERY_S: Final = 2.0
_AFTER_A_FAULT_S: Final = 30.0
_LONGEST_PAUSE_S: Final = 3600.0
MOST_FAULTS: Final = 8
"""Faults of a neighbour in a row, an hour in all, after which the study that is being read counts as their cause."""
DetectorOf = Callable[[Target], TritonDetector]


class Shadow:
    """Reads answered studies with the shadow version, if there is one; `run` is the body of its thread.

    `classifier` helps to choose the same series as the answer did; `detector_of` returns a detector for a target,
    `answers` the sha256 of the version that answers now, "" when that is not known.
    """

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        orthanc: Orthanc,
        snapshots: Snapshots,
        ahead: ReadingAhead,
        classifier: Classifier | None,
        metrics: Metrics,
        detector_of: DetectorOf,
        answers: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._orthanc = orthanc
        self._snapshots = snapshots
        self._ahead = ahead
        self._classifier = classifier
        self._metrics = metrics
        self._detector_of = detector_of
        self._answers = answers
        self._detector: tuple[Target, TritonDetector] | None = None
        self._faults = 0
        self._log = structlog.get_logger("shadow")

    def run(self, stopping: threading.Event) -> None:
        """Read until `stopping` is set."""
        fault = ""
        while not stopping.is_set():
            try:
                worked = self.work(stopping)
                fault = ""
            except Exception as error:  # nothing depends on it: try again later
                worked = False
                if describe(error) != fault:
                    fault = describe(error)
                    self._log.warning("the shadow version does not read", error=fault)
                self._close()
                stopping.wait(self.pause_s())
            if not worked:
                stopping.wait(_LOOKS_EVERY_S)
        self._close()

    def pause_s(self) -> float:
        """Return how long to wait after a fault: longer each time, as each may have cost Triton a model process."""
        return float(min(_LONGEST_PAUSE_S, _AFTER_A_FAULT_S * 2 ** max(0, self._faults - 1)))

    def work(self, stopping: threading.Event) -> bool:
        """Read the next study, if there is one and the appliance has nothing else to do; return whether it did.

        Raises `ApplianceError` when the version is not served, or a neighbour does not answer. A study at which that
        happens `MOST_FAULTS` times in a row is passed over, and the last fault is kept as the reason.
        """
        change = self._ledger.models.shadow()
        if change is None or change.sha256 == self._answers():
            self._close()
            return False
        if not self._is_idle():
            return False
        job = self._ledger.shadows.next_job(change.sha256, change.at)
        if job is None:
            return False
        try:
            answer, unread = self._read(job, change, lambda: not stopping.is_set() and self._is_idle())
        except GaveWayError:
            return False
        except ApplianceError as error:
            self._faults += 1
            if self._faults < MOST_FAULTS:
                raise
            answer, unread = {}, describe(error)
        self._faults = 0
        self._metrics.shadowed.labels("unread" if unread else "read").inc()
        now = self._ledger.clock()
        self._ledger.shadows.keep(ShadowAnswer(job.id, change.sha256, change.version, now, answer, unread))
        return True

    def _is_idle(self) -> bool:
        counts = self._ledger.views.job_counts()
        return not self._ahead.is_live and not any(counts[state] for state in OPEN)

    def _read(self, job: Job, change: ModelChange, go_on: Callable[[], bool]) -> tuple[dict[str, Any], str]:
        """Return what the shadow says of a job's study, or why it says nothing."""
        detector = self._detector_for(Target(change.served_as, change.sha256))

        def fetch(instance: str) -> bytes:
            if not go_on():
                raise GaveWayError("the shadow gave way to a study")
            return self._orthanc.file(instance)

        try:
            snapshot = self._snapshots.of(job.orthanc_study, job.orthanc_series)
            if job.instance_set and snapshot.instance_set != job.instance_set:
                return {}, "the study holds other images by now"
            instances = instances_to_answer(job, snapshot)
            study = Study(job.study_uid, instances, fetch, unread=snapshot.unread)
            read = Pipeline(self._settings, detector, self._classifier).read(study, go_on)
        except NotThereError:
            return {}, "the study was deleted"
        except ApplianceError:  # it gave way, or a neighbour is away: read it later
            raise
        except Exception as error:  # the study is the cause: do not try again
            return {}, describe(error)
        if not isinstance(read, ReadStudy):
            return {}, "; ".join(f"{refusal.code}: {refusal.reason}" for refusal in read.refusals)
        if read.reading.model.sha256 != change.sha256:
            raise UnavailableError(f"Triton serves another model as {change.served_as} than the shadow; load it again")
        if read.stack.slice_set_hash != job.answered_set:
            return {}, "other slices were read than answered"
        finding = read.finding
        return {
            "present": finding.present,
            "probability": finding.probability,
            "threshold": finding.criteria.threshold,
            "lesions": [lesion_facts(lesion) for lesion in finding.lesions],
            "timing_ms": dict(read.clock.timing_ms),
        }, ""

    def _detector_for(self, target: Target) -> TritonDetector:
        if self._detector is None or self._detector[0] != target:
            self._close()
            self._detector = target, self._detector_of(target)
        # Each time, because Triton may have restarted the model's process.
        if self._settings.triton.profile == "cpu":
            give_way_on_the_processor(processes_of_model(region_prefix(self._settings.triton), target.served_as))
        return self._detector[1]

    def _close(self) -> None:
        if self._detector is not None:
            self._detector[1].close()
            self._detector = None
