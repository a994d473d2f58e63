# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Put each study into its group anew: a refusal no longer counts once the study was read, and opinions count.

Revision ID: 0016
Revises: 0015
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_GROUPS = {"present": "found", "undetermined": "undecided", "unread": "undecided", "absent": "clear"}
_URGENCY = ("present", "undetermined", "unread", "absent")


def upgrade() -> None:
    """Write the group of each study with several valid answers; those with one are where they belong."""
    studies = sa.table("studies", sa.column("orthanc_id", sa.String), sa.column("standing", sa.String))
    jobs = sa.table(
        "jobs",
        sa.column("id", sa.Integer),
        sa.column("orthanc_study", sa.String),
        sa.column("orthanc_series", sa.String),
        sa.column("state", sa.String),
        sa.column("sr_uid", sa.String),
        sa.column("answer", sa.JSON),
    )
    opinions = sa.table(
        "opinions", sa.column("id", sa.Integer), sa.column("answer_key", sa.String), sa.column("stance", sa.String)
    )
    connection = op.get_bind()
    valid = jobs.c.state.in_(("done", "refused", "failed"))
    several = sa.select(jobs.c.orthanc_study).where(valid).group_by(jobs.c.orthanc_study).having(sa.func.count() > 1)
    of_study: dict[str, list[Any]] = {}
    for row in connection.execute(
        sa.select(jobs)
        .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
        .where(valid, jobs.c.orthanc_study.in_(several), studies.c.standing != "")
    ).all():
        of_study.setdefault(row.orthanc_study, []).append(row)
    if not of_study:
        return
    stances = {
        row.answer_key: row.stance for row in connection.execute(sa.select(opinions).order_by(opinions.c.id)).all()
    }
    for study, rows in of_study.items():
        answers = [
            (
                _outcome(row.state, row.answer or {}),
                stances.get(row.sr_uid or f"job {row.id}", "taken back") != "taken back",
                row.id,
                bool(row.orthanc_series),
            )
            for row in rows
        ]
        group = _group(answers)
        connection.execute(studies.update().where(studies.c.orthanc_id == study).values(standing=group))


def _group(answers: list[tuple[str, bool, int, bool]]) -> str:
    """Return the group of a study by its answers: outcome, judged, number, requested."""
    read = max((number for outcome, _, number, _ in answers if outcome != "unread"), default=-1)
    told = [one for one in answers if one[0] != "unread" or (not one[3] and one[2] > read)] or answers
    outcome, judged, _, _ = min(told, key=lambda one: (_URGENCY.index(one[0]), one[1], -one[2]))
    return "read" if judged else _GROUPS[outcome]


def _outcome(state: str, answer: dict[str, Any]) -> str:
    if not answer or state in ("refused", "failed"):
        return "unread"
    if answer.get("present"):
        return "present"
    return "undetermined" if (answer.get("coverage") or {}).get("partial") else "absent"
