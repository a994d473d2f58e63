# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which version of the detector answers studies, and the history of the versions: what was done, by whom and when.

This is in the ledger because a row is written whole or not at all: whatever interrupts a promotion, one of the two
versions answers, and all services that share the ledger agree on which. Rows are never changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, insert, select

from appliance.errors import ApplianceError
from appliance.ledger import tables
from appliance.ledger.audit import append
from appliance.ledger.columns import record_of
from appliance.ledger.database import Database
from appliance.ledger.records import AuditEvent, ModelChange, ModelEvent

_MOVES: Final = (ModelEvent.PROMOTED, ModelEvent.ROLLED_BACK)


class OvertakenError(ApplianceError):
    """Somebody else changed meanwhile which version answers."""


@dataclass(frozen=True)
class ModelFacts:
    """A version of the detector: its name in Triton, and the version and sha256 that it states."""

    served_as: str
    version: str
    sha256: str


class Models:
    """The versions' history. Without a promotion the version that came with the appliance answers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def changes(self) -> list[ModelChange]:
        """Return all changes, oldest first."""
        with self._database.reading() as connection:
            rows = connection.execute(select(tables.model_changes).order_by(tables.model_changes.c.id))
            return [record_of(ModelChange, row) for row in rows]

    def list_promoted(self) -> list[ModelChange]:
        """Return the promotions in force, that of the version that answers now first; see `list_standing`."""
        with self._database.reading() as connection:
            rows = connection.execute(
                select(tables.model_changes)
                .where(tables.model_changes.c.event.in_(_MOVES))
                .order_by(tables.model_changes.c.id)
            )
            return list_standing(record_of(ModelChange, row) for row in rows)

    def last_move(self) -> int:
        """Return the number of the newest promotion or rollback, 0 when there was none."""
        with self._database.reading() as connection:
            return _last_move(connection)

    def shadow(self) -> ModelChange | None:
        """Return the change that made a version the shadow; None when there is none now, or it was promoted since."""
        return find_shadow(self.changes())

    def record(self, event: ModelEvent, facts: ModelFacts, who: str, note: str = "") -> None:
        """Record a change that does not affect which version answers."""
        self._put(event, facts, who, note, None)

    def take_over(self, event: ModelEvent, facts: ModelFacts, who: str, note: str, after: int) -> None:
        """Let a version answer from now on, by promotion or rollback.

        `after` is the newest such change that the caller knows, 0 for none. Raises `OvertakenError` when there is a
        newer one.
        """
        self._put(event, facts, who, note, after)

    def _put(self, event: ModelEvent, facts: ModelFacts, who: str, note: str, after: int | None) -> None:
        changes = tables.model_changes
        with self._database.writing() as connection:
            if after is not None and _last_move(connection) != after:
                raise OvertakenError(
                    "somebody else promoted or rolled back a version just now; look at `appliance models list`"
                )
            connection.execute(
                insert(changes).values(
                    at=self._database.clock(),
                    who=who,
                    event=event,
                    served_as=facts.served_as,
                    version=facts.version,
                    sha256=facts.sha256,
                    note=note,
                )
            )
            if event in (*_MOVES, ModelEvent.REMOVED):
                what = {"change": event.value, "version": facts.version, "sha256": facts.sha256, "note": note}
                append(connection, self._database.clock(), AuditEvent.MODEL, who[:64], "", **what)


def _last_move(connection: Connection) -> int:
    changes = tables.model_changes
    newest = connection.execute(select(func.max(changes.c.id)).where(changes.c.event.in_(_MOVES))).scalar()
    return int(newest or 0)


def list_standing(changes: Iterable[ModelChange]) -> list[ModelChange]:
    """Return the promotions in force, newest first: a rollback cancels the newest one."""
    found: list[ModelChange] = []
    for change in changes:
        if change.event is ModelEvent.PROMOTED:
            found.append(change)
        elif change.event is ModelEvent.ROLLED_BACK and found:
            found.pop()
    return found[::-1]


def find_shadow(changes: Iterable[ModelChange]) -> ModelChange | None:
    """Return the change that made a version the shadow; None when that has ended, or the version was promoted."""
    found: ModelChange | None = None
    for change in changes:
        if change.event is ModelEvent.SHADOWED:
            found = change
        elif change.event is ModelEvent.SHADOW_ENDED or (
            change.event in _MOVES and found is not None and change.sha256 == found.sha256
        ):
            found = None
    return found
