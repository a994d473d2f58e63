# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep what goes to whom by the rules. What was answered before is not delivered: no rule was there for it.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and to each job whether the rules have been applied to it."""
    op.create_table(
        "outbox",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("key", sa.String(36), nullable=False),
        sa.Column("destination", sa.String(64), nullable=False),
        sa.Column("job", sa.Integer, nullable=False),
        sa.Column("orthanc_study", sa.String(44), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.Column("first", sa.Boolean, nullable=False),
        sa.Column("follows", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("next_try", sa.Float, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("rejections", sa.Integer, nullable=False),
        sa.Column("handle", sa.String(120), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("receipt", sa.Text, nullable=False),
    )
    op.create_index("outbox_key", "outbox", ["key"], unique=True)
    op.create_index("outbox_destination", "outbox", ["destination", "state"])
    op.create_index("outbox_state", "outbox", ["state"])
    op.create_index("outbox_study", "outbox", ["orthanc_study"])
    op.create_table(
        "turns",
        sa.Column("destination", sa.String(64), primary_key=True),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
    )
    jobs = sa.table("jobs", sa.column("routed", sa.Boolean), sa.column("state", sa.String))
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("routed", sa.Boolean, nullable=False, server_default=sa.false()))
        table.create_index("jobs_routed", ["routed", "state"])
    ended = ("done", "refused", "superseded", "failed", "withdrawn")
    op.execute(jobs.update().where(jobs.c.state.in_(ended)).values(routed=sa.true()))
