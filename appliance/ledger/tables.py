# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables, made from `records`. Times are Unix seconds (UTC); names in `orthanc_…` are Orthanc's keys,
those in `…_uid` DICOM's. A change here needs a migration (`migrations/versions`)."""

from __future__ import annotations

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, String, Table

from appliance.ledger.columns import columns_of
from appliance.ledger.records import (
    AuditEntry,
    Delivery,
    FollowedStudy,
    GoldenStudy,
    Job,
    KnownSeries,
    ModelChange,
    Opinion,
    Position,
    ResultObject,
    RetrievedStudy,
    ShadowAnswer,
    Sweep,
    Turn,
    UnseenSeries,
)

metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))
"""One row, read by versions of the appliance from before migrations."""

services = Table(
    "services",
    metadata,
    Column("identity", String(80), primary_key=True),
    Column("session", String(16), nullable=False),
    Column("seen", Float, nullable=False),
    Column("rules", String(64), nullable=False),
)

feed = Table("feed", metadata, Column("name", String(16), primary_key=True), *columns_of(Position))

sweeps = Table("sweeps", metadata, Column("name", String(16), primary_key=True), *columns_of(Sweep))
"""One row while a sweep is in progress."""

unseen = Table("unseen", metadata, *columns_of(UnseenSeries))

series = Table("series", metadata, *columns_of(KnownSeries))

studies = Table(
    "studies",
    metadata,
    *columns_of(FollowedStudy),
    Index("studies_state", "state"),
    Index("studies_newest", "last_instance_at"),
    Index("studies_board", "standing", "last_instance_at", "orthanc_id"),
)

jobs = Table(
    "jobs",
    metadata,
    *columns_of(Job),
    Index("jobs_state", "state", "next_try"),
    Index("jobs_study", "orthanc_study"),
    Index("jobs_routed", "routed", "state"),
    Index("jobs_followed_up", "followed_up", "state"),
)

retrieved = Table("retrieved", metadata, *columns_of(RetrievedStudy))

results = Table(
    "results",
    metadata,
    Column("job", Integer, ForeignKey("jobs.id"), primary_key=True),
    *columns_of(ResultObject),
    Index("results_instance", "orthanc_instance"),
)

outbox = Table(
    "outbox",
    metadata,
    *columns_of(Delivery),
    Index("outbox_key", "key", unique=True),
    Index("outbox_destination", "destination", "state"),
    Index("outbox_state", "state"),
    Index("outbox_study", "orthanc_study"),
)

turns = Table("turns", metadata, *columns_of(Turn))

opinions = Table(
    "opinions",
    metadata,
    *columns_of(Opinion),
    Index("opinions_answer", "answer_key", "id"),
    Index("opinions_study", "orthanc_study"),
)
"""Rows are only added; those of a study go with the study's other rows (`keeping`)."""

audit = Table("audit", metadata, *columns_of(AuditEntry), Index("audit_at", "at"), Index("audit_study", "study_uid"))

audit_head = Table(
    "audit_head",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
)
"""One row: the number and the digest of the newest entry. A transaction that adds an entry locks it first."""

model_changes = Table("model_changes", metadata, *columns_of(ModelChange))

shadow_answers = Table("shadow_answers", metadata, *columns_of(ShadowAnswer))

golden_studies = Table("golden_studies", metadata, *columns_of(GoldenStudy), Index("golden_orthanc", "orthanc_study"))
