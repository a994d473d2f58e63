# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Opening the ledger's database: SQLite in WAL mode on one machine, PostgreSQL where several share the work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from appliance.errors import SettingsError, UnavailableError
from appliance.ledger import tables

_BUSY_TIMEOUT_MS = 10_000
_READING = "appliance_reading"


def open_engine(url: str) -> Engine:
    """Return an engine on the ledger at `url`, its tables made when they are not there.

    Raises
    ------
    SettingsError
        when the URL is not one, its driver is not installed, or the ledger was written by another version.
    UnavailableError
        when the database does not answer.
    """
    try:
        engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise SettingsError(
            "ledger.url: not a usable SQLAlchemy URL; allowed are sqlite:///FILE and postgresql+psycopg://… "
            f"with that driver installed ({type(error).__name__})"
        ) from error
    if engine.dialect.name == "sqlite":
        database = make_url(url).database
        if database:
            Path(database).parent.mkdir(parents=True, exist_ok=True)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin)
    try:
        _make_tables(engine)
    except SQLAlchemyError as error:
        engine.dispose()
        raise UnavailableError(
            f"the ledger at {make_url(url).render_as_string(hide_password=True)} cannot be opened "
            f"({type(error).__name__}); check ledger.url, the folder's rights and the disk"
        ) from error
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Let several threads and processes in: who only reads (`reading`) never waits, writers wait for each other.

    A power cut may take the last transactions with it, never the ledger's consistency; and as the cursor is part of
    the same transactions, what was lost is taken from Orthanc's change log again. So commits need not wait for a sync.
    """
    connection.isolation_level = None  # transactions begin where `_begin` says, not at the first write
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = NORMAL")
    cursor.execute(f"PRAGMA busy_timeout = {_BUSY_TIMEOUT_MS}")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def reading(engine: Engine) -> Engine:
    """Return the same engine for transactions that write nothing."""
    return engine.execution_options(**{_READING: True})


def _begin(connection: Connection) -> None:
    """Let who writes take the lock at once: a transaction that read first and writes later could fail as busy."""
    connection.exec_driver_sql("BEGIN" if connection.get_execution_options().get(_READING) else "BEGIN IMMEDIATE")


def _make_tables(engine: Engine) -> None:
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4157201)")  # one machine makes them, others wait
        if not inspect(connection).has_table(tables.schema.name):
            tables.metadata.create_all(connection)
            connection.execute(insert(tables.schema).values(version=tables.SCHEMA_VERSION))
        found = connection.execute(select(tables.schema.c.version)).scalar_one()
    if found != tables.SCHEMA_VERSION:
        engine.dispose()
        raise SettingsError(
            f"ledger.url: the ledger has schema {found}, this version writes {tables.SCHEMA_VERSION}; "
            "name another ledger, or run the version that wrote this one"
        )
