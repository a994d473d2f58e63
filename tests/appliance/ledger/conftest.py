# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A ledger on each engine: SQLite always, PostgreSQL where its server programs are installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.ledger.ledger import Ledger
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.new_ledger import url_of_ledger
from tests.appliance.ledger.postgres import PostgresServer, make_database


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    server = PostgresServer()
    try:
        server.start()
        yield server.url
        server.stop()
    finally:
        server.remove()


@pytest.fixture(scope="session")
def migrated(postgres: str) -> str:
    """The name of a database on that server with a new ledger, to be copied."""
    Ledger(make_database(postgres, "migrated")).close()
    return "migrated"


@pytest.fixture
def new_postgres(postgres: str, migrated: str) -> str:
    """The URL of a new ledger on that server."""
    return make_database(postgres, "ledger", migrated)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a new ledger."""
    if request.param == "sqlite":
        return url_of_ledger(tmp_path / "ledger.sqlite")
    return str(request.getfixturevalue("new_postgres"))


@pytest.fixture
def open_ledger(url: str, clock: Clock) -> Iterator[Callable[[], Ledger]]:
    """Opens the same ledger once more, as another service would."""
    opened: list[Ledger] = []

    def another() -> Ledger:
        opened.append(Ledger(url, clock))
        return opened[-1]

    yield another
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[[], Ledger]) -> Ledger:
    return open_ledger()
