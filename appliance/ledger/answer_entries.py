# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The audit trail's entries about answers: what was decided, refused, stored and superseded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from appliance.ledger import tables
from appliance.ledger.audit import APPLIANCE, append
from appliance.ledger.records import AuditEvent, Job

_DECIDED_BY: Final = ("present", "probability", "threshold", "extend_score", "model")


def append_answer(connection: Connection, now: float, job: Job, sr_uid: str, superseded: Sequence[int]) -> None:
    """Add to the audit trail that an answer is stored: what it says, what made it, what went to Orthanc."""
    answer = connection.execute(select(tables.jobs.c.answer).where(tables.jobs.c.id == job.id)).scalar_one()
    decision = _decision(answer)
    append(connection, now, AuditEvent.DECIDED, APPLIANCE, job.study_uid, job=job.id, sr_uid=sr_uid, **decision)
    append_sent(connection, now, job, superseded)


def append_sent(connection: Connection, now: float, job: Job, superseded: Sequence[int], only: str = "") -> None:
    """Add to the audit trail which objects of a job went to Orthanc (`only` that one, if named), and what gave way."""
    about = (APPLIANCE, job.study_uid)
    stored = connection.execute(
        select(tables.results.c.kind, tables.results.c.sop_instance_uid).where(tables.results.c.job == job.id)
    ).all()
    objects = [{"kind": row.kind, "uid": row.sop_instance_uid} for row in stored if only in ("", row.sop_instance_uid)]
    append(connection, now, AuditEvent.SENT, *about, job=job.id, to="Orthanc", objects=objects)
    for identifier in superseded:
        append(connection, now, AuditEvent.SUPERSEDED, *about, job=identifier, by=job.id)


def append_refusal(
    connection: Connection, now: float, job: int, study_uid: str, refusals: Iterable[dict[str, Any]]
) -> None:
    """Add to the audit trail that a study was not read, with the codes of the reasons."""
    reasons = [{"code": refusal["code"], "series_uid": refusal["series_uid"]} for refusal in refusals]
    append(connection, now, AuditEvent.REFUSED, APPLIANCE, study_uid, job=job, refusals=reasons)


def _decision(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what the audit trail keeps of an answer: no text that a scanner or a person wrote."""
    decision = {name: answer.get(name) for name in _DECIDED_BY}
    decision["lesions"] = [
        {name: lesion.get(name) for name in ("type", "volume_ml", "confidence")} for lesion in answer.get("lesions", ())
    ]
    decision["flaws"] = [flaw["code"] for flaw in answer.get("flaws", ())]
    covered = answer.get("coverage") or {}
    decision["slices"] = {name: covered.get(name) for name in ("slices_read", "slices_there", "partial")}
    decision["series_uid"] = (answer.get("series") or {}).get("uid")
    return decision
