# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The series that the appliance knows: who made them, and how many instances they had."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, select, update

from appliance.ledger import tables
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import KnownSeries
from appliance.ledger.rows import insert_unless_there

_AT_ONCE: Final = 500  # rows a statement: both engines limit the number of bound values


class Series:
    """The known series."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find_known(self, identifiers: Iterable[str]) -> dict[str, KnownSeries]:
        """Return which of the series the ledger knows."""
        wanted = list(identifiers)
        known: dict[str, KnownSeries] = {}
        with self._database.reading() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                part = wanted[start : start + _AT_ONCE]
                for row in connection.execute(select(tables.series).where(tables.series.c.orthanc_id.in_(part))):
                    known[row.orthanc_id] = record_of(KnownSeries, row)
        return known

    def note(self, series: Iterable[KnownSeries]) -> None:
        """Record series that need no answer (our own results, found in a sweep)."""
        with self._database.writing() as connection:
            for one in series:
                put_series(connection, one)


def put_series(connection: Connection, known: KnownSeries) -> None:
    """Record a series, or what has changed about it."""
    values = values_of(known)
    change = update(tables.series).where(tables.series.c.orthanc_id == known.id).values(values)
    if not connection.execute(change).rowcount and not insert_unless_there(connection, tables.series, values):
        connection.execute(change)
