# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The settings of the ledger and of the audit trail in it."""

from __future__ import annotations

from pydantic import Field

from appliance.allowed import DatabaseUrl
from appliance.clocks import DAY_S
from appliance.sections.section import Section


class LedgerSettings(Section):
    """The ledger of what was decided and done."""

    url: DatabaseUrl = Field(
        "",
        description="SQLAlchemy URL; empty for an SQLite file in the state folder",
        repr=False,
    )
    lease_s: float = Field(
        60,
        ge=5,
        le=DAY_S,
        description="When the worker of a job gives no sign for this long, another service takes the job over, s",
    )
    stall_s: float = Field(
        900,
        ge=240,
        le=DAY_S,
        description="A worker without progress on its study for this long counts as stuck: the service is no longer "
        "live, and the job's lease is not renewed, s; half of it is what a trial of a study may take at most",
    )
    keep_days: int = Field(
        365,
        ge=0,
        le=36_500,
        description="Rows about studies that left Orthanc longer ago than this are removed from the ledger, except "
        "for the audit trail, days; 0: nothing is removed",
    )
    busy_s: float = Field(
        10, ge=0.05, le=3600, description="Longest wait for another writer of the ledger before a try fails, s"
    )


class AuditSettings(Section):
    """The audit trail."""

    keep_days: int = Field(0, ge=0, le=36_500, description="Entries older than this are removed, days; 0: all are kept")
