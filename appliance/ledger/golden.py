# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The golden studies: answers that somebody confirmed, on which a new version of the detector proves itself.

Who added or removed one is in the audit trail. No row names a patient: a study is its Study Instance UID.
"""

from __future__ import annotations

from sqlalchemy import delete, select

from appliance.ledger import tables
from appliance.ledger.audit import append
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import AuditEvent, GoldenStudy
from appliance.ledger.rows import insert_unless_there


class GoldenStudies:
    """The golden studies of all services that share the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def studies(self) -> list[GoldenStudy]:
        """Return the golden studies, in the order in which they were added."""
        table = tables.golden_studies
        with self._database.reading() as connection:
            rows = connection.execute(select(table).order_by(table.c.at, table.c.study_uid))
            return [record_of(GoldenStudy, row) for row in rows]

    def add(self, golden: GoldenStudy) -> bool:
        """Add a study; return whether it was not golden already."""
        with self._database.writing() as connection:
            added = insert_unless_there(connection, tables.golden_studies, values_of(golden))
            if added:
                details = {"change": "added", "present": golden.answer["present"], "note": golden.note}
                append(connection, golden.at, AuditEvent.GOLDEN, golden.who[:64], golden.study_uid, **details)
            return added

    def remove(self, study_uid: str, who: str) -> bool:
        """Remove a study from the golden ones; return whether it was one."""
        table = tables.golden_studies
        with self._database.writing() as connection:
            gone = connection.execute(delete(table).where(table.c.study_uid == study_uid)).rowcount > 0
            if gone:
                append(connection, self._database.clock(), AuditEvent.GOLDEN, who[:64], study_uid, change="removed")
            return gone
