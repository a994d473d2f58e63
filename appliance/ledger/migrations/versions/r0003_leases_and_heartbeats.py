# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Count how often a service ended in the middle of a job, and let each service write that it lives.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns and the table."""
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
        table.add_column(sa.Column("kills", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "services",
        sa.Column("identity", sa.String(80), primary_key=True),
        sa.Column("session", sa.String(16), nullable=False),
        sa.Column("seen", sa.Float, nullable=False),
    )
