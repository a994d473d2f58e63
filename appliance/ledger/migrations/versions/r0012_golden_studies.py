# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keep the studies whose answers were confirmed, on which new versions of the detector prove themselves.

Revision ID: 0012
Revises: 0011
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "golden_studies",
        sa.Column("study_uid", sa.String(64), primary_key=True),
        sa.Column("orthanc_study", sa.String(44), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("slice_set", sa.String(64), nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("who", sa.String(160), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
    )
    op.create_index("golden_orthanc", "golden_studies", ["orthanc_study"])
