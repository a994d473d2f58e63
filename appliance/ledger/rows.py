# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Writing a row that another transaction may write at the same moment.

SQLite lets one transaction write at a time. On PostgreSQL two that both find no row both insert it, and the later one
would end with an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

_INSERTS: Final[Mapping[str, Any]] = {"postgresql": postgresql.insert, "sqlite": sqlite.insert}


def insert_unless_there(connection: Connection, table: Table, values: Mapping[str, Any]) -> bool:
    """Insert a row unless one with its key is there; return whether it was inserted.

    Another transaction that is just inserting it is waited for: what it wrote can be read afterwards.
    """
    insert = _INSERTS[connection.dialect.name]
    statement = insert(table).values(dict(values)).on_conflict_do_nothing().returning(*table.primary_key)
    return connection.execute(statement).first() is not None
