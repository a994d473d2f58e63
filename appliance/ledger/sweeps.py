# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The sweep over all series: its progress, its kind, and the series that could not be looked at.

All of it survives a restart. A series that could not be looked at holds nothing up; it is tried again later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, func, select, update

from appliance.ledger import tables
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import Arrival, KnownSeries, Sweep, UnseenSeries
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.series import put_series
from appliance.ledger.studies import record_arrival

_ORTHANC = "orthanc"


class Sweeps:
    """The sweep in progress, if any, and the series put off."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, counting: bool) -> None:
        """Ask for a sweep. One in progress continues where it is; one that has to count starts again."""
        with self._database.writing() as connection:
            begin_sweep(connection, counting)

    def find_current(self) -> Sweep | None:
        """Return the sweep in progress, None when there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(tables.sweeps).where(tables.sweeps.c.name == _ORTHANC)).one_or_none()
            return None if row is None else record_of(Sweep, row)

    def advance(
        self,
        old: Sweep,
        new: Sweep | None,
        silent: Iterable[KnownSeries],
        arrivals: Sequence[Arrival],
        put_off: Iterable[UnseenSeries],
    ) -> bool:
        """Record the effect of a part of the sweep and its new place; `new` is None at its end.

        Returns False when the sweep started again meanwhile, or another machine continued it: nothing was changed.
        """
        sweeps = tables.sweeps
        here = (sweeps.c.name == _ORTHANC, sweeps.c.after == old.after, sweeps.c.counting == old.counting)
        with self._database.writing() as connection:
            if new is None:
                moved = connection.execute(delete(sweeps).where(*here))
            else:
                moved = connection.execute(update(sweeps).where(*here).values(values_of(new)))
            if moved.rowcount != 1:
                return False
            self._record(connection, silent, arrivals, put_off)
            return True

    def settle(
        self,
        seen: Iterable[str],
        silent: Iterable[KnownSeries],
        arrivals: Sequence[Arrival],
        put_off: Iterable[UnseenSeries],
    ) -> None:
        """Record the effect of another look at series put off; those in `seen` are no longer put off."""
        with self._database.writing() as connection:
            connection.execute(delete(tables.unseen).where(tables.unseen.c.orthanc_id.in_(list(seen))))
            self._record(connection, silent, arrivals, put_off)

    def list_due(self, limit: int) -> list[UnseenSeries]:
        """Return series put off that are due, the longest waiting first."""
        unseen = tables.unseen
        with self._database.reading() as connection:
            rows = connection.execute(
                select(unseen)
                .where(unseen.c.next_try <= self._database.clock())
                .order_by(unseen.c.next_try)
                .limit(limit)
            )
            return [record_of(UnseenSeries, row) for row in rows]

    def count_unseen(self) -> int:
        """Return how many series could not be looked at so far."""
        with self._database.reading() as connection:
            return int(connection.execute(select(func.count()).select_from(tables.unseen)).scalar_one())

    def _record(
        self,
        connection: Connection,
        silent: Iterable[KnownSeries],
        arrivals: Sequence[Arrival],
        put_off: Iterable[UnseenSeries],
    ) -> None:
        for known in silent:
            put_series(connection, known)
        for arrival in arrivals:
            record_arrival(connection, arrival, self._database.clock())
            for known in arrival.series:
                put_series(connection, known)
        for one in put_off:
            put_off_series(connection, one)


def begin_sweep(connection: Connection, counting: bool) -> None:
    """Ask for a sweep, as `Sweeps.begin` does, in the caller's transaction."""
    sweeps = tables.sweeps
    there = connection.execute(select(sweeps.c.name).where(sweeps.c.name == _ORTHANC).with_for_update()).first()
    row = {"name": _ORTHANC, **values_of(Sweep(counting))}
    is_new = there is None and insert_unless_there(connection, sweeps, row)
    if counting and not is_new:
        connection.execute(update(sweeps).where(sweeps.c.name == _ORTHANC).values(values_of(Sweep(counting))))


def put_off_series(connection: Connection, unseen: UnseenSeries) -> None:
    """Record that a series could not be looked at."""
    values = values_of(unseen)
    change = update(tables.unseen).where(tables.unseen.c.orthanc_id == unseen.id).values(values)
    if not connection.execute(change).rowcount and not insert_unless_there(connection, tables.unseen, values):
        connection.execute(change)
