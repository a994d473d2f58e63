# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Brings the tables of a ledger to those of this version, by the migrations in `migrations/versions`.

A change of a table is a change in `records` or `tables` and a new migration; migrations are never changed afterwards.
Alembic, which takes a tenth of the time of all imports, is imported only where a migration is due: most starts need
none.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import structlog
from sqlalchemy import Connection, inspect, text

from appliance.errors import SettingsError

MIGRATIONS: Final = Path(__file__).parent / "migrations"

_FILE: Final = re.compile(r"r(\d{4})_\w+")
_FIRST: Final = "0001"
_FIRST_SCHEMA: Final = 1


def migrate(connection: Connection, migrations: Path = MIGRATIONS) -> None:
    """Create the tables in an empty database, or bring older ones to this version, in the caller's transaction.

    The caller holds the lock that allows one service at a time to do this.

    Raises
    ------
    SettingsError
        when a newer version of the appliance has written the ledger.
    """
    if is_migrated(connection, migrations):
        return
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(migrations).replace("%", "%%"))
    before = _revision(connection)
    if before is None and inspect(connection).has_table("schema"):
        command.stamp(config, _FIRST)
    command.upgrade(config, "head")
    structlog.get_logger("ledger").info("ledger migrated", before=before or "new", now=revisions(migrations)[-1])


def is_migrated(connection: Connection, migrations: Path = MIGRATIONS) -> bool:
    """Return whether the ledger has had all migrations of this version; raises `SettingsError` as `migrate` does."""
    known = revisions(migrations)
    found = _revision(connection)
    if found is None and inspect(connection).has_table("schema"):
        number = connection.execute(text("SELECT version FROM schema")).scalar_one()
        if number != _FIRST_SCHEMA:
            raise _foreign_ledger_error(f"schema {number}")
    elif found is not None and found not in known:
        raise _foreign_ledger_error(f"revision {found}")
    return found == known[-1]


def revisions(migrations: Path = MIGRATIONS) -> list[str]:
    """Return the revisions of a folder of migrations, oldest first, by the names of their files."""
    named = (_FILE.fullmatch(file.stem) for file in (migrations / "versions").glob("*.py"))
    return sorted(match[1] for match in named if match)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _foreign_ledger_error(what: str) -> SettingsError:
    return SettingsError(
        f"ledger.url: the ledger has {what}, which this version of the appliance does not know; "
        "name another ledger, or run the version that wrote this one"
    )
