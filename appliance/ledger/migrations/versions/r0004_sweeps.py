# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep how far the sweep over all series came, and the series that could not be looked at.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "sweeps",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("counting", sa.Boolean, nullable=False),
        sa.Column("after", sa.String(44), nullable=False),
    )
    op.create_table(
        "unseen",
        sa.Column("orthanc_id", sa.String(44), primary_key=True),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("next_try", sa.Float, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
    )
