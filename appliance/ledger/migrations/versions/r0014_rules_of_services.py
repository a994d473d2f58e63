# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep with each service's heartbeat which rules it works by, so that two with different ones are noticed.

Revision ID: 0014
Revises: 0013
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a service of an older version does not say, which is no difference."""
    with op.batch_alter_table("services") as table:
        table.add_column(sa.Column("rules", sa.String(64), nullable=False, server_default=""))
