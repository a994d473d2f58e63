# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep which studies were fetched as priors, and which answers were followed up.

Revision ID: 0015
Revises: 0014
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table and the columns; what was answered before is not followed up."""
    op.create_table(
        "retrieved",
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("job", sa.Integer, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
    )
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("retrieved", sa.Boolean, nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("followed_up", sa.Boolean, nullable=False, server_default=sa.false()))
        table.create_index("jobs_followed_up", ["followed_up", "state"])
    jobs = sa.table("jobs", sa.column("followed_up", sa.Boolean))
    op.execute(jobs.update().values(followed_up=sa.true()))
