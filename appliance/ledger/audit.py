# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The audit trail: who asked and looked, what was decided about which study and by which model, and what went where.

Entries are only added. If a setting says so the oldest are removed, which makes an entry too. Each entry carries its
own sha256 and that of the entry before it, so that a changed, removed or inserted entry is noticed. Whoever may write
to the database can rebuild the whole chain; so the service regularly logs the newest digest, and a trail without a
logged digest was rebuilt.

No entry names a patient: a study is its Study Instance UID.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, true, update

from appliance.ledger import tables
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import AuditEntry, AuditEvent

APPLIANCE: Final = "appliance"
"""The name under which the appliance acts by itself."""
_AT_ONCE: Final = 1000
_HEAD: Final = "head"


@dataclass(frozen=True)
class Verdict:
    """Whether a trail is whole: its number of entries, its newest digest, and what is wrong (empty if nothing)."""

    entries: int
    digest: str
    fault: str


class Audit:
    """The audit trail in the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, event: AuditEvent, who: str = APPLIANCE, study_uid: str = "", **details: Any) -> None:
        """Add an entry; `details` are plain JSON."""
        with self._database.writing() as connection:
            append(connection, self._database.clock(), event, who, study_uid, **details)

    def entries(self, since: float = 0.0, until: float | None = None, study_uid: str = "") -> Iterator[AuditEntry]:
        """Yield the entries of a period (Unix seconds, without `until`) and of a study, if named; oldest first."""
        table = tables.audit
        last = 0
        while True:
            with self._database.reading() as connection:
                rows = connection.execute(
                    select(table)
                    .where(
                        table.c.seq > last,
                        table.c.at >= since,
                        table.c.at < until if until is not None else true(),
                        table.c.study_uid == study_uid if study_uid else true(),
                    )
                    .order_by(table.c.seq)
                    .limit(_AT_ONCE)
                ).all()
            for row in rows:
                yield record_of(AuditEntry, row)
            if len(rows) < _AT_ONCE:
                return
            last = rows[-1].seq

    def page(self, limit: int, before: int | None = None, study_uid: str = "") -> list[AuditEntry]:
        """Return the newest entries, newest first: before a number and about a study, where they are named."""
        table = tables.audit
        with self._database.reading() as connection:
            rows = connection.execute(
                select(table)
                .where(
                    table.c.seq < before if before is not None else true(),
                    table.c.study_uid == study_uid if study_uid else true(),
                )
                .order_by(table.c.seq.desc())
                .limit(limit)
            )
            return [record_of(AuditEntry, row) for row in rows]

    def head(self) -> tuple[int, str]:
        """Return the number and the digest of the newest entry."""
        with self._database.reading() as connection:
            row = connection.execute(select(tables.audit_head)).one()
            return int(row.seq), str(row.digest)

    def verify(self) -> Verdict:
        """Return whether every entry is as it was written and none is missing."""
        with self._database.reading() as connection:
            head = connection.execute(select(tables.audit_head)).one()
        number, begins, previous, before_first = 0, 0, "", ""
        pruned: dict[Any, Any] = {}
        for entry in self.entries():
            if entry.seq > head.seq:  # added since
                break
            if number == 0:
                begins, previous, before_first = entry.seq, entry.previous, entry.previous
            elif entry.seq != begins + number:
                return Verdict(number, head.digest, f"entry {begins + number} is missing")
            if entry.previous != previous or entry.digest != _digest(entry):
                return Verdict(number, head.digest, f"entry {entry.seq} was changed, or stands where another stood")
            if entry.event is AuditEvent.PRUNED:
                pruned[entry.details.get("up_to")] = entry.details.get("digest")
            number, previous = number + 1, entry.digest
        if begins + number - 1 != head.seq and head.seq:
            return Verdict(number, head.digest, f"the entries up to {head.seq} are missing at the end")
        if previous != head.digest:
            return Verdict(number, head.digest, f"entry {head.seq} is not the one that was written last")
        if begins > 1 and begins - 1 not in pruned:
            return Verdict(number, head.digest, f"the entries before {begins} are missing, and no entry says why")
        if pruned.get(begins - 1, "") != before_first:
            return Verdict(number, head.digest, f"the entries before {begins} were others than those that were pruned")
        return Verdict(number, head.digest, "")

    def prune(self, before: float) -> int:
        """Remove the entries before a time (Unix seconds), add one that says so, and return how many were removed."""
        table = tables.audit
        with self._database.writing() as connection:
            last = connection.execute(select(func.max(table.c.seq)).where(table.c.at < before)).scalar()
            kept = connection.execute(select(func.min(table.c.seq)).where(table.c.at >= before)).scalar()
            if kept is not None and last is not None:
                last = min(last, kept - 1)  # a clock that was set back puts older times after newer ones
            if not last:
                return 0
            digest = connection.execute(select(table.c.digest).where(table.c.seq == last)).scalar()
            if digest is None:
                return 0
            gone = connection.execute(delete(table).where(table.c.seq <= last)).rowcount
            append(
                connection, self._database.clock(), AuditEvent.PRUNED, entries=int(gone), up_to=int(last), digest=digest
            )
            return int(gone)


def append(
    connection: Connection, now: float, event: AuditEvent, who: str = APPLIANCE, study_uid: str = "", **details: Any
) -> None:
    """Add an entry in the transaction of the event itself; call this last, because others wait from here on."""
    head = connection.execute(select(tables.audit_head).with_for_update()).one()
    entry = AuditEntry(head.seq + 1, round(now, 3), who, event, study_uid, details, previous=head.digest)
    digest = _digest(entry)
    connection.execute(insert(tables.audit).values(values_of(entry) | {"digest": digest}))
    connection.execute(
        update(tables.audit_head).where(tables.audit_head.c.name == _HEAD).values(seq=entry.seq, digest=digest)
    )


def _digest(entry: AuditEntry) -> str:
    told = [entry.seq, entry.at, entry.who, entry.event.value, entry.study_uid, entry.details, entry.previous]
    return hashlib.sha256(json.dumps(told, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
