# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""New ledgers for tests that ask for one: migrated once in this process, then copied.

The migrations take longer than most tests that need a ledger. `test_migrate.py` has them made each time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from appliance.ledger.ledger import Ledger


@cache
def _migrated() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.sqlite"
        Ledger(f"sqlite:///{file}").close()
        return file.read_bytes()


def url_of_ledger(file: Path) -> str:
    """Return the URL of the ledger in a file of SQLite, after writing a new one where there is none."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(_migrated())
    return f"sqlite:///{file}"


def ledger_in(file: Path, clock: Callable[[], float] | None = None) -> Ledger:
    """Open the ledger in a file of SQLite, after writing a new one where there is none."""
    return Ledger(url_of_ledger(file), clock)
