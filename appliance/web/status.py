# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The status document: what `GET /status` answers and `appliance status` prints."""

from __future__ import annotations

from typing import Any

from appliance import __version__
from appliance.clocks import iso
from appliance.health import Health
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job, StudyStatus
from appliance.ledger.states import DeliveryState, JobState, StudyState
from appliance.results.wording import RESEARCH_USE


def status_document(
    ledger: Ledger,
    health: Health,
    model: dict[str, str] | None,
    limit: int,
    study: str = "",
    *,
    orthanc_ahead_s: float | None = None,
) -> dict[str, Any]:
    """Return the state of the service and of the newest `limit` studies, or of the one named, as plain JSON.

    `orthanc_ahead_s` is how far Orthanc's clock is ahead of the service's, None while that is not known.

    Each study has the state of its newest answer, or of its intake while instances arrive; `jobs` lists earlier and
    further answers. Raises `UnavailableError` when the ledger does not answer.
    """
    return {
        "version": __version__,
        "notice": f"Not a medical device. {RESEARCH_USE}",
        "ready": health.ready,
        "neighbours": {
            name: {"well": state.well, "since": iso(state.since), "reason": state.reason}
            for name, state in health.states.items()
        },
        "orthanc_clock_ahead_s": None if orthanc_ahead_s is None else round(orthanc_ahead_s, 1),
        "model": model,
        "jobs": {state.value: jobs for state, jobs in ledger.views.job_counts().items()},
        "deliveries": _deliveries(ledger),
        "studies": [_study(status) for status in ledger.views.newest_studies(limit, study)],
    }


def _deliveries(ledger: Ledger) -> dict[str, dict[str, Any]]:
    """Return what waits for each destination, and how many deliveries to it were given up."""
    backlogs, counts = ledger.outbox.backlogs(), ledger.outbox.counts()
    told = {}
    for name in sorted({name for name, _ in counts}):
        backlog = backlogs.get(name)
        told[name] = {
            "waiting": backlog.waiting if backlog else 0,
            "oldest": iso(backlog.oldest) if backlog else None,
            "delivered": counts.get((name, DeliveryState.DELIVERED), 0),
            "given_up": sum(counts.get((name, state), 0) for state in (DeliveryState.REJECTED, DeliveryState.EXPIRED)),
        }
    return told


def _study(status: StudyStatus) -> dict[str, Any]:
    study = status.study
    jobs = [job for job in status.jobs if job.state is not JobState.WITHDRAWN]
    # A requested series that could not be read does not affect the answer that the study has.
    told_first = [job for job in jobs if not (job.requested and job.state in (JobState.REFUSED, JobState.FAILED))]
    job = next(reversed(told_first or jobs), None)
    told: dict[str, Any] = {
        "study_uid": study.uid,
        "orthanc_id": study.id,
        "last_instance": iso(study.last_instance_at),
    }
    told |= _job(job) if job is not None else _no_answer("nothing to answer", study.since)
    if study.state in (StudyState.RECEIVING, StudyState.INCOMPLETE):
        told |= {"state": study.state.value, "since": iso(study.since), "waiting_for": study.why}
        if job is None:
            told["refusals"] = study.refusals
    told["deleted"] = study.state is StudyState.DELETED
    told["jobs"] = [_job(one) for one in jobs]
    return told


def _no_answer(state: str, since: float) -> dict[str, Any]:
    return {
        "job": None,
        "state": state,
        "since": iso(since),
        "waiting_for": "",
        "requested": False,
        "retrieved": False,
        "present": None,
        "probability": None,
        "threshold": None,
        "extend_score": None,
        "lesions": [],
        "change": None,
        "coverage": None,
        "flaws": [],
        "series": None,
        "model": None,
        "refusals": [],
        "sr_uid": None,
        "error": None,
        "tries": 0,
        "next_try": None,
        "turnaround_s": None,
        "timing_ms": {},
    }


def _job(job: Job) -> dict[str, Any]:
    answered = job.state in (JobState.DONE, JobState.SUPERSEDED)
    return _no_answer(job.state.value, job.since) | {
        "job": job.id,
        "requested": job.requested,
        "retrieved": job.retrieved,
        **(job.answer if answered else {}),
        "change": (job.change or None) if answered else None,
        "refusals": job.refusals,
        "sr_uid": job.sr_uid or None,
        "error": job.error or None,
        "tries": job.tries,
        "next_try": iso(job.next_try) if job.state is JobState.WAITING else None,
        "turnaround_s": job.turnaround_s,
        "timing_ms": job.timing_ms,
    }
