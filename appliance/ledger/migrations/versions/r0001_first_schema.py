# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The first schema, as ledgers had it before they carried an Alembic revision.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    schema = op.create_table("schema", sa.Column("version", sa.Integer, primary_key=True))
    op.bulk_insert(schema, [{"version": 1}])
    op.create_table(
        "feed",
        sa.Column("name", sa.String(16), primary_key=True),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("fingerprint", sa.String(160), nullable=False),
        sa.Column("began", sa.Float, nullable=False),
    )
    op.create_table(
        "series",
        sa.Column("orthanc_id", sa.String(44), primary_key=True),
        sa.Column("orthanc_study", sa.String(44), nullable=False),
        sa.Column("origin", sa.String(8), nullable=False),
        sa.Column("instances", sa.Integer, nullable=False),
    )
    op.create_table(
        "studies",
        sa.Column("orthanc_id", sa.String(44), primary_key=True),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("last_instance_at", sa.Float, nullable=False),
        sa.Column("quiet_from", sa.Float, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("why", sa.Text, nullable=False),
        sa.Column("refusals", sa.JSON, nullable=False),
    )
    op.create_index("studies_state", "studies", ["state"])
    op.create_index("studies_newest", "studies", ["last_instance_at"])
    op.create_table(
        "jobs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("orthanc_study", sa.String(44), nullable=False),
        sa.Column("study_uid", sa.String(64), nullable=False),
        sa.Column("orthanc_series", sa.String(44), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("since", sa.Float, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
        sa.Column("last_instance_at", sa.Float, nullable=False),
        sa.Column("live", sa.Boolean, nullable=False),
        sa.Column("instance_set", sa.String(64), nullable=False),
        sa.Column("chosen_set", sa.String(64), nullable=False),
        sa.Column("left_out", sa.JSON, nullable=False),
        sa.Column("answered_set", sa.String(64), nullable=False),
        sa.Column("answered_series", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(80), nullable=False),
        sa.Column("lease_until", sa.Float, nullable=False),
        sa.Column("next_try", sa.Float, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("crashes", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("sr_class_uid", sa.String(64), nullable=False),
        sa.Column("sr_uid", sa.String(64), nullable=False),
        sa.Column("answer", sa.JSON, nullable=False),
        sa.Column("refusals", sa.JSON, nullable=False),
        sa.Column("timing_ms", sa.JSON, nullable=False),
        sa.Column("turnaround_s", sa.Float, nullable=True),
    )
    op.create_index("jobs_state", "jobs", ["state", "next_try"])
    op.create_index("jobs_study", "jobs", ["orthanc_study"])
    op.create_table(
        "results",
        sa.Column("job", sa.Integer, sa.ForeignKey("jobs.id"), primary_key=True),
        sa.Column("orthanc_instance", sa.String(44), primary_key=True),
        sa.Column("orthanc_series", sa.String(44), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("sop_instance_uid", sa.String(64), nullable=False),
    )
    op.create_index("results_instance", "results", ["orthanc_instance"])
