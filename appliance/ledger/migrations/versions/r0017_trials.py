# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep how many deaths a job had when a trial last read its study to the end.

Revision ID: 0017
Revises: 0016
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; no trial is known."""
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("deaths_at_trial", sa.Integer, nullable=False, server_default="0"))
