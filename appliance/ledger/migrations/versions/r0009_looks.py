# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep which studies intake is looking at, and in whose middle the service ended.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; nothing is being looked at."""
    with op.batch_alter_table("studies") as table:
        table.add_column(sa.Column("looker", sa.String(80), nullable=False, server_default=""))
        table.add_column(sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
