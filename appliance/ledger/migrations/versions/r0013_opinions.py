# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep what readers say of answers, and each study's group on the board.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_GROUPS = {"present": "found", "undetermined": "undecided", "unread": "undecided", "absent": "clear"}
_URGENCY = ("present", "undetermined", "unread", "absent")


def upgrade() -> None:
    """Add the table and the column, and put each study that has an answer into its group: nobody has read any."""
    op.create_table(
        "opinions",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("answer_key", sa.String(64), nullable=False),
        sa.Column("job", sa.Integer, nullable=False),
        sa.Column("orthanc_study", sa.String(44), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_sha256", sa.String(64), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("stance", sa.String(16), nullable=False),
        sa.Column("reason", sa.String(24), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
    )
    op.create_index("opinions_answer", "opinions", ["answer_key", "id"])
    op.create_index("opinions_study", "opinions", ["orthanc_study"])
    with op.batch_alter_table("studies") as table:
        table.add_column(sa.Column("standing", sa.String(12), nullable=False, server_default=""))
        table.create_index("studies_board", ["standing", "last_instance_at", "orthanc_id"])
    _place_studies()


def _place_studies() -> None:
    studies = sa.table(
        "studies", sa.column("orthanc_id", sa.String), sa.column("state", sa.String), sa.column("standing", sa.String)
    )
    jobs = sa.table(
        "jobs",
        sa.column("orthanc_study", sa.String),
        sa.column("orthanc_series", sa.String),
        sa.column("state", sa.String),
        sa.column("answer", sa.JSON),
    )
    found: dict[str, list[tuple[str, bool]]] = {}
    answered = (
        sa.select(jobs.c.orthanc_study, jobs.c.orthanc_series, jobs.c.state, jobs.c.answer)
        .join(studies, studies.c.orthanc_id == jobs.c.orthanc_study)
        .where(jobs.c.state.in_(("done", "refused", "failed")), studies.c.state != "deleted")
    )
    connection = op.get_bind()
    for row in connection.execute(answered).all():
        outcome = _outcome(row.state, row.answer or {})
        found.setdefault(row.orthanc_study, []).append((outcome, bool(row.orthanc_series)))
    for study, answers in found.items():
        told = [outcome for outcome, requested in answers if not (requested and outcome == "unread")]
        top = min(told or ["unread"], key=_URGENCY.index)
        connection.execute(studies.update().where(studies.c.orthanc_id == study).values(standing=_GROUPS[top]))


def _outcome(state: str, answer: dict[str, Any]) -> str:
    if not answer or state in ("refused", "failed"):
        return "unread"
    if answer.get("present"):
        return "present"
    return "undetermined" if (answer.get("coverage") or {}).get("partial") else "absent"
