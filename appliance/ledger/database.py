# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The database behind the ledger: its transactions and its clock."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from appliance.clocks import SteadyClock
from appliance.errors import UnavailableError
from appliance.ledger.engine import open_engine, reading
from appliance.ledger.place import Place

_DRIFT_S: Final = 0.5
_RIGHTS: Final = "give this user the ledger's file, those beside it and their folder (`chown`), or a disk to write to"
_REMEDIES: Final = (
    ("SQLITE_BUSY", "another program holds its lock: end that program"),
    ("SQLITE_LOCKED", "another program holds its lock: end that program"),
    ("SQLITE_READONLY", f"it is read-only: {_RIGHTS}"),
    ("SQLITE_CANTOPEN", f"it cannot be opened: {_RIGHTS}"),
    ("SQLITE_PERM", _RIGHTS),
    ("SQLITE_FULL", "its disk is full: make room"),
    ("SQLITE_IOERR", "its disk is full or fails: make room, or see the kernel's log"),
    ("SQLITE_CORRUPT", "its file is damaged: stop the service and restore it, or move it aside"),
    ("SQLITE_NOTADB", "its file is damaged: stop the service and restore it, or move it aside"),
    ("42501", "its user may not write: grant the user of ledger.url all rights on the tables"),
    ("25006", "the server takes no writes: name the primary in ledger.url"),
    ("53100", "the server's disk is full: make room"),
    ("55P03", "another program holds its lock: end that program"),
)
"""The beginnings of SQLite's error names and PostgreSQL's SQLSTATEs, each with its remedy."""


class Database:
    """The open database. Faults of the database become `UnavailableError`; faults of our own statements do not."""

    def __init__(self, url: str, clock: Callable[[], float] | None, busy_s: float) -> None:
        self._engine = open_engine(url, busy_s=busy_s)
        self._reader = reading(self._engine)
        self._place = Place(url)
        self._steady = SteadyClock(self._server_time) if clock is None else None
        self.clock: Callable[[], float] = clock or self._steady or time.time

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a transaction that may write; refused when nothing that it writes would be kept."""
        self._place.check()
        with _transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a transaction that writes nothing: it sees one state of the ledger and waits for nobody."""
        with _transaction(self._reader) as connection:
            yield connection

    def follow_clock(self) -> float:
        """Set the clock again if it has drifted; return by how much it was off, s."""
        if self._steady is None:
            return 0.0
        off_s = self._steady.drift_s()
        if abs(off_s) < _DRIFT_S:
            return 0.0
        self._steady.set_anew()
        return off_s

    def _server_time(self) -> float:
        """Return the time of the clock that all services of this ledger share."""
        if self._engine.dialect.name != "postgresql":
            return time.time()
        with self.reading() as connection:
            return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (DataError, IntegrityError, ProgrammingError) as error:
        if remedy(error):  # the user's rights: a fault of the site
            raise UnavailableError(f"the ledger cannot be used: {remedy(error).removesuffix('; ')}") from error
        raise  # the database answers, so the statement is our own fault and counts as one
    except (DBAPIError, PoolTimeoutError) as error:
        raise UnavailableError(
            f"the ledger does not answer ({type(error).__name__}); {remedy(error)}check its disk or database server"
        ) from error


def remedy(error: Exception) -> str:
    """Return what is wrong with the ledger and what to do, as the start of a sentence; empty when unknown."""
    origin = getattr(error, "orig", None)
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None) or ""
    return next((f"{words}; " for start, words in _REMEDIES if code.startswith(start)), "")
