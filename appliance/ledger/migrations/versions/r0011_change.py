# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep with each answer what has changed since the patient's head CT before.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; answers of before were not compared."""
    with op.batch_alter_table("jobs") as table:
        table.add_column(sa.Column("change", sa.JSON, nullable=False, server_default="{}"))
