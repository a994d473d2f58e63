# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Opening the ledger's database: SQLite in WAL mode on one machine, PostgreSQL where several share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, SQLAlchemyError

from appliance.errors import SettingsError, UnavailableError
from appliance.ledger.migrate import MIGRATIONS, is_migrated, migrate

BUSY_S = 10.0
"""How long a writer waits for another one, s, unless the settings say otherwise."""
MIGRATION_S = 3600.0
"""How long a start waits for another service that migrates the ledger, s; a large ledger takes minutes."""
_CONNECT_S = 10
_LOCKED = ("SQLITE_BUSY", "55P03")
_READING = "appliance_reading"
_MIGRATING_FOR_S = "appliance_migrating_for_s"


def open_engine(
    url: str, migrations: Path = MIGRATIONS, busy_s: float = BUSY_S, migration_s: float = MIGRATION_S
) -> Engine:
    """Return an engine for the ledger at `url`, after creating its tables or bringing them to this version.

    A statement that waits longer than `busy_s` for another writer is given up. If another service is migrating the
    ledger, this waits for it for up to `migration_s`; a ledger of this version is opened without a wait.

    Raises
    ------
    SettingsError
        when the URL is not one, its driver is not installed, or the ledger was written by a newer version.
    UnavailableError
        when the database does not answer, or another service takes longer than that to migrate it.
    """
    engine = _engine(url, busy_s)
    try:
        _migrate(engine, migrations, busy_s, migration_s)
        engine.dispose()  # the connection that migrated did not watch foreign keys
    except SQLAlchemyError as error:
        engine.dispose()
        raise _opening_error(url, error, migration_s) from error
    except SettingsError:
        engine.dispose()
        raise
    return engine


def awaits_migration(url: str) -> bool:
    """Return whether the next start of the service will change the tables of the ledger at `url`; changes nothing.

    Raises as `open_engine` does.
    """
    engine = _engine(url)
    try:
        with reading(engine).begin() as connection:
            return not is_migrated(connection)
    except SQLAlchemyError as error:
        raise _opening_error(url, error) from error
    finally:
        engine.dispose()


def _opening_error(url: str, error: Exception, waited_s: float = BUSY_S) -> UnavailableError:
    origin = getattr(error, "orig", None)
    code = getattr(origin, "sqlite_errorname", None) or getattr(origin, "sqlstate", None)
    remedy = "check ledger.url, the folder's rights and the disk"
    if code in _LOCKED:
        remedy = (
            f"another program has held its lock for {waited_s:g} s: a service that migrates it, or a program to end"
        )
    return UnavailableError(
        f"the ledger at {make_url(url).render_as_string(hide_password=True)} cannot be opened "
        f"({code or type(error).__name__}); {remedy}"
    )


def _engine(url: str, busy_s: float = BUSY_S) -> Engine:
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"), connect_args=_connect_args(url, busy_s))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            "ledger.url: not a usable SQLAlchemy URL; allowed are sqlite:///FILE and postgresql+psycopg://… "
            f"with that driver installed ({type(error).__name__})"
        ) from error
    if engine.dialect.name == "sqlite":
        database = make_url(url).database
        if database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", lambda connection, _: _prepare_sqlite(connection, busy_s))
        event.listen(engine, "begin", _begin)
    return engine


def _connect_args(url: str, busy_s: float) -> dict[str, Any]:
    """Return options that keep a PostgreSQL that hangs, or a locked row, from holding a thread forever."""
    if make_url(url).get_backend_name() != "postgresql":
        return {}
    return {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": int(3000 * max(busy_s, 1.0)),
        "options": f"-c lock_timeout={int(1000 * busy_s)}",
    }


def _prepare_sqlite(connection: Any, busy_s: float) -> None:
    """Allow several threads and processes: readers (`reading`) never wait, writers wait for each other.

    A power cut may lose the last transactions, but never the ledger's consistency. The cursor is part of the same
    transactions, so lost changes are read from Orthanc's change log again, and commits need not wait for a sync.
    """
    connection.isolation_level = None  # transactions begin where `_begin` says, not at the first write
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout = {int(1000 * busy_s)}")
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def reading(engine: Engine) -> Engine:
    """Return the same engine for read-only transactions."""
    return engine.execution_options(**{_READING: True})


def _begin(connection: Connection) -> None:
    """Take the write lock at BEGIN, because a transaction that reads first and writes later could fail as busy."""
    options = connection.get_execution_options()
    if _MIGRATING_FOR_S in options:
        # A rewritten table is dropped in between. Foreign keys can be switched off only outside a transaction.
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {int(1000 * options[_MIGRATING_FOR_S])}")
    connection.exec_driver_sql("BEGIN" if options.get(_READING) else "BEGIN IMMEDIATE")


def _migrate(engine: Engine, migrations: Path, busy_s: float, migration_s: float) -> None:
    on_postgres = engine.dialect.name == "postgresql"
    with reading(engine).begin() as connection:
        if on_postgres:
            _wait_for_locks(connection, migration_s)  # a migration may have locked the table
        if is_migrated(connection, migrations):
            return
    with engine.execution_options(**{_MIGRATING_FOR_S: migration_s}).begin() as connection:
        if on_postgres:
            _wait_for_locks(connection, migration_s)
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4157201)")  # one machine migrates, others wait
            _wait_for_locks(connection, busy_s)
        migrate(connection, migrations)
        if not on_postgres and connection.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise IntegrityError("PRAGMA foreign_key_check", None, ValueError("a migration lost rows"))


def _wait_for_locks(connection: Connection, longest_s: float) -> None:
    """Set how long later statements of this transaction wait for a lock, on PostgreSQL."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {max(1, int(1000 * longest_s))}")
