# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The database behind the ledger: its transactions and its clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from appliance.errors import UnavailableError
from appliance.ledger.engine import open_engine, reading


class Database:
    """The opened database. Faults of the database become `UnavailableError`; faults of our own statements do not."""

    def __init__(self, url: str, clock: Callable[[], float], busy_s: float) -> None:
        self._engine = open_engine(url, busy_s=busy_s)
        self._reader = reading(self._engine)
        self.clock = clock

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Begin a transaction that may write."""
        with _transaction(self._engine) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Begin a transaction that writes nothing: it sees one state of the ledger and waits for nobody."""
        with _transaction(self._reader) as connection:
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.begin() as connection:
            yield connection
    except (DataError, IntegrityError, ProgrammingError):
        raise  # the database answers: what was asked of it is a fault of our own, and counts as one
    except (DBAPIError, PoolTimeoutError) as error:
        raise UnavailableError(
            f"the ledger does not answer ({type(error).__name__}); check its disk or database server"
        ) from error
