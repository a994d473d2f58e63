# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger's tables. Times are Unix seconds (UTC); identifiers named `orthanc_…` are Orthanc's, `…_uid` DICOM's."""

from __future__ import annotations

from typing import Final

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA_VERSION: Final = 1
"""Raised with every change of a table; a ledger of another version is not opened."""

metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, primary_key=True))

feed = Table(
    "feed",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("seq", Integer, nullable=False),  # everything up to this number of Orthanc's change log was taken in
    Column("fingerprint", String(160), nullable=False),  # of that very entry: a restored database has another there
    Column("began", Float, nullable=False),  # series that did not change since then are older than the appliance
)

series = Table(
    "series",
    metadata,
    Column("orthanc_id", String(44), primary_key=True),
    Column("orthanc_study", String(44), nullable=False),
    Column("origin", String(8), nullable=False),
    Column("instances", Integer, nullable=False),
)

studies = Table(
    "studies",
    metadata,
    Column("orthanc_id", String(44), primary_key=True),
    Column("study_uid", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", Float, nullable=False),  # when it came into this state
    Column("last_instance_at", Float, nullable=False),
    Column("quiet_from", Float, nullable=False),
    Column("live", Boolean, nullable=False),  # seen as it came: its turnaround means something
    Column("why", Text, nullable=False),  # what an incomplete study is waiting for
    Column("refusals", JSON, nullable=False),
    Index("studies_state", "state"),
    Index("studies_newest", "last_instance_at"),
)

jobs = Table(
    "jobs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("orthanc_study", String(44), nullable=False),
    Column("study_uid", String(64), nullable=False),
    Column("orthanc_series", String(44), nullable=False),  # the one series that was asked for, empty for the study
    Column("state", String(16), nullable=False),
    Column("since", Float, nullable=False),
    Column("created", Float, nullable=False),
    Column("last_instance_at", Float, nullable=False),
    Column("live", Boolean, nullable=False),
    Column("instance_set", String(64), nullable=False),  # sha256 of the study's instances when it was decided
    Column("chosen_set", String(64), nullable=False),  # slice-set hash of the best stack then, empty for none
    Column("left_out", JSON, nullable=False),  # slice-set hashes of stacks that other jobs answer
    Column("answered_set", String(64), nullable=False),  # slice-set hash of the stack that was read in the end
    Column("answered_series", String(64), nullable=False),  # and its Series Instance UID
    Column("owner", String(80), nullable=False),
    Column("lease_until", Float, nullable=False),
    Column("next_try", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("sr_class_uid", String(64), nullable=False),
    Column("sr_uid", String(64), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("refusals", JSON, nullable=False),
    Column("timing_ms", JSON, nullable=False),
    Column("turnaround_s", Float, nullable=True),
    Index("jobs_state", "state", "next_try"),
    Index("jobs_study", "orthanc_study"),
)

results = Table(
    "results",
    metadata,
    Column("job", Integer, ForeignKey("jobs.id"), primary_key=True),
    Column("orthanc_instance", String(44), primary_key=True),
    Column("orthanc_series", String(44), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("sop_instance_uid", String(64), nullable=False),
    Index("results_instance", "orthanc_instance"),
)
