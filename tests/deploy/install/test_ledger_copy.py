# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger's copy from before an upgrade."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from appliance.backup import ledger_file
from appliance.backup_file import BackupError
from appliance.ledger.ledger import Ledger
from appliance.sections.ledger import LedgerSettings
from appliance.settings import Settings
from deploy.install.ledger_copy import copy_ledger, revision, take_back
from tests.appliance.ledger.new_ledger import ledger_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "state" / "ledger.sqlite"
    ledger_in(path).close()
    return path


def test_a_copy_holds_what_a_writer_has_just_written_and_nobody_else_reads_it(file: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(file)) as writer:
        writer.execute("CREATE TABLE later (id INTEGER)")
        writer.execute("INSERT INTO later VALUES (7)")
        writer.commit()
        copy = copy_ledger(file, tmp_path, "1.0.0")
    with closing(sqlite3.connect(copy)) as read:
        assert read.execute("SELECT id FROM later").fetchone() == (7,)
    assert revision(copy) == revision(file) != ""
    assert copy.stat().st_mode & 0o077 == 0
    assert copy.name.startswith("ledger-1.0.0-")


def test_taking_back_undoes_a_migration(file: Path, tmp_path: Path) -> None:
    before = revision(file)
    copy = copy_ledger(file, tmp_path, "1.0.0")
    with closing(sqlite3.connect(file)) as migrated:
        migrated.execute("UPDATE alembic_version SET version_num = '9999'")
        migrated.commit()
    assert revision(file) == "9999"
    take_back(copy, file)
    assert not [path for path in file.parent.iterdir() if path.name != file.name], "parts of the newer one are left"
    assert revision(file) == before
    Ledger(f"sqlite:///{file}").close()


def test_what_is_no_ledger_is_not_copied(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_text("no database")
    with pytest.raises(BackupError, match="cannot be copied"):
        copy_ledger(file, tmp_path, "1.0.0")
    assert [path.name for path in tmp_path.iterdir()] == ["ledger.sqlite"]
    assert revision(file) == revision(tmp_path / "not-there") == ""


def test_a_ledger_on_a_server_has_no_file() -> None:
    assert ledger_file(Settings(ledger=LedgerSettings(url="postgresql+psycopg://u@db/ledger"))) is None
    assert ledger_file(Settings(state_dir="/srv/state")) == Path("/srv/state/ledger.sqlite")
