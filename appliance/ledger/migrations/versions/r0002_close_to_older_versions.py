# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Raise the number in `schema`, so that a version of the appliance from before migrations refuses this ledger.

The number stays as it is from here on: Alembic's own table says which migrations a ledger has had.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Write the number that older versions do not know."""
    op.execute("UPDATE schema SET version = 2")
