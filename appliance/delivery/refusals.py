# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Stores the report that a study could not be read, if such a report is due.

It is due for a study, not for a series that a person asked for, as long as the source exists and Orthanc holds no
answer about the study. A study without a CT image gets none.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import structlog

from appliance.delivery.store import result_objects, store
from appliance.errors import Refusal, RefusalCode, UnavailableError
from appliance.intake.snapshot import Snapshot, Snapshots
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.results import kinds
from appliance.results.refusal_report import refusal_report
from appliance.settings import Settings


class RefusalReports:
    """Makes and stores reports about studies that could not be read."""

    def __init__(
        self, settings: Settings, orthanc: Orthanc, ledger: Ledger, snapshots: Snapshots, metrics: Metrics
    ) -> None:
        self._settings = settings
        self._orthanc = orthanc
        self._ledger = ledger
        self._snapshots = snapshots
        self._metrics = metrics
        self._log = structlog.get_logger("worker")

    def deliver(self, job: Job, refusals: Sequence[Refusal]) -> tuple[str, str, str] | None:
        """Store the report about the study of a job, and read back that it is there.

        Returns Orthanc's identifier of the report, its SOP Class UID and its SOP Instance UID; None when none is due,
        or when none can be made or stored, which is logged: the refusal is valid nevertheless.

        Raises
        ------
        UnavailableError
            when Orthanc or the ledger does not answer, or Orthanc does not keep what it accepted.
        LostJobError
            when the job is no longer this worker's.
        """
        if not self._is_due(job, refusals):
            return None
        try:
            snapshot = self._snapshots.of(job.orthanc_study)
            report = refusal_report(
                snapshot.instances,
                refusals,
                instance_set=snapshot.instance_set,
                settings=self._settings,
                created=datetime.now(UTC),
                supersedes=self._predecessor(job),
            )
        except NotThereError:
            return None
        except UnavailableError:
            raise
        except Exception as error:  # Orthanc refuses what concerns this study, or pydicom an odd header
            self._go_without(error)
            return None
        if report is None:
            return None
        (announced,) = result_objects([(kinds.REFUSAL.name, report)])
        self._ledger.jobs.deliver(job, [announced], {}, refusals, "", "")
        try:
            stored = store(self._orthanc, report)
        except UnavailableError:
            raise
        except Exception as error:
            self._go_without(error)
            return None
        if not self._orthanc.holds_instance(stored):
            raise UnavailableError("Orthanc does not hold a report that it took; see its log and its storage")
        if not self._is_source_there(snapshot):  # deleted while we stored
            self._ledger.jobs.confirm(job)
            self._orthanc.delete_instance(stored)
            return None
        return stored, str(report.SOPClassUID), str(report.SOPInstanceUID)

    def _is_due(self, job: Job, refusals: Sequence[Refusal]) -> bool:
        if not self._settings.results.refusals or job.requested:
            return False
        if any(refusal.code is RefusalCode.SOURCE_DELETED for refusal in refusals):
            return False
        of_study = self._ledger.jobs.of_study(job.orthanc_study)
        return not any(other.state is JobState.DONE and self._holds_report(other) for other in of_study)

    def _holds_report(self, job: Job) -> bool:
        """Whether Orthanc holds the report of a job: not of a study that was deleted and sent again."""
        return any(
            result.sop_instance_uid == job.sr_uid and self._orthanc.holds_instance(result.orthanc_instance)
            for result in self._ledger.jobs.results(job.id)
        )

    def _predecessor(self, job: Job) -> tuple[str, str] | None:
        """Return the report about an earlier state of the study, None when there is none, or no longer."""
        for older in reversed(self._ledger.jobs.of_study(job.orthanc_study)):
            is_like = older.id != job.id and older.state is JobState.REFUSED and older.sr_uid
            if is_like and self._holds_report(older):
                return older.sr_class_uid, older.sr_uid
        return None

    def _is_source_there(self, snapshot: Snapshot) -> bool:
        return any(self._orthanc.holds_instance(instance.ref) for instance in snapshot.instances[:1])

    def _go_without(self, error: Exception) -> None:
        self._metrics.unmade.labels(kinds.REFUSAL.name).inc()
        self._log.error("refused without a report", error=describe(error))
