# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How far Orthanc's change log has been read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, select, update

from appliance.ledger import tables
from appliance.ledger.columns import record_of, values_of
from appliance.ledger.database import Database
from appliance.ledger.records import Arrival, Position, UnseenSeries
from appliance.ledger.rows import insert_unless_there
from appliance.ledger.series import put_series
from appliance.ledger.studies import record_arrival
from appliance.ledger.sweeps import begin_sweep, put_off_series

_ORTHANC: Final = "orthanc"


class Feed:
    """The cursor of the change log; it moves in the transaction that records the effect of the entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def position(self) -> Position | None:
        """Return how far the change log has been read; None before the first start."""
        with self._database.reading() as connection:
            return _position(connection)

    def begin(self, position: Position) -> bool:
        """Record the first start. Returns False when another machine was first, and changes nothing."""
        with self._database.writing() as connection:
            if _position(connection) is not None:
                return False
            return insert_unless_there(connection, tables.feed, {"name": _ORTHANC, **values_of(position)})

    def advance(
        self,
        old: Position,
        new: Position,
        arrivals: Sequence[Arrival] = (),
        put_off: Sequence[UnseenSeries] = (),
        sweep: bool = False,
    ) -> bool:
        """Move the cursor from `old` to `new` and record the effect of the entries between them.

        This is arrivals, and series `put_off` because they cannot be looked at now. With `sweep`, a sweep that counts
        is requested too, because the log cannot be relied on for what arrived so far.

        Returns False when another machine moved the cursor meanwhile: nothing was changed, read it again.
        """
        with self._database.writing() as connection:
            moved = connection.execute(
                update(tables.feed)
                .where(
                    tables.feed.c.name == _ORTHANC,
                    tables.feed.c.seq == old.seq,
                    tables.feed.c.fingerprint == old.fingerprint,
                )
                .values(seq=new.seq, fingerprint=new.fingerprint)
            )
            if moved.rowcount != 1:
                return False
            self._note(connection, arrivals)
            for one in put_off:
                put_off_series(connection, one)
            if sweep:
                begin_sweep(connection, counting=True)
            return True

    def notice(self, arrivals: Sequence[Arrival]) -> None:
        """Record arrivals that a sweep found and the change log did not show."""
        with self._database.writing() as connection:
            self._note(connection, arrivals)

    def _note(self, connection: Connection, arrivals: Sequence[Arrival]) -> None:
        for arrival in arrivals:
            record_arrival(connection, arrival, self._database.clock())
            for known in arrival.series:
                put_series(connection, known)


def _position(connection: Connection) -> Position | None:
    row = connection.execute(select(tables.feed).where(tables.feed.c.name == _ORTHANC)).one_or_none()
    return None if row is None else record_of(Position, row)
