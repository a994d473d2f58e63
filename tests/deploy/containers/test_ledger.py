# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Proves the copy of the ledger that an upgrade of containers makes, and its way back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def site(tmp_path):
    (tmp_path / "appliance.toml").write_text(f'state_dir = "{tmp_path}"\n')
    write(tmp_path / "ledger.sqlite", "0007", "decided before")
    (tmp_path / "copies").mkdir()
    return tmp_path


def write(file, revision, text):
    with closing(sqlite3.connect(file)) as ledger, ledger:
        ledger.executescript("DROP TABLE IF EXISTS alembic_version; DROP TABLE IF EXISTS seen")
        ledger.execute("CREATE TABLE alembic_version (version_num)")
        ledger.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
        ledger.execute("CREATE TABLE seen (text)")
        ledger.execute("INSERT INTO seen VALUES (?)", (text,))


def read(file):
    with closing(sqlite3.connect(file)) as ledger:
        return ledger.execute("SELECT text FROM seen").fetchone()[0]


def run(site, *arguments):
    environment = os.environ | {"APPLIANCE_SETTINGS": str(site / "appliance.toml")}
    command = [sys.executable, "-m", "deploy.containers.ledger", *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_ledger_whose_tables_were_changed_is_as_it_was_before(site):
    name, revision = run(site, "copy", site / "copies").stdout.split()
    write(site / "ledger.sqlite", "9999", "written by the new version")
    assert run(site, "take-back", site / "copies" / name, revision).stdout == "taken\n"
    assert read(site / "ledger.sqlite") == "decided before"


def test_a_ledger_with_the_same_tables_keeps_what_the_new_version_wrote(site):
    name, revision = run(site, "copy", site / "copies").stdout.split()
    assert revision == "0007"
    write(site / "ledger.sqlite", "0007", "written by the new version")
    assert run(site, "take-back", site / "copies" / name, revision).stdout == "kept\n"
    assert read(site / "ledger.sqlite") == "written by the new version"


def test_the_script_is_told_where_the_ledger_is(site):
    assert run(site, "kind").stdout == "file\n"
    (site / "ledger.sqlite").unlink()
    assert run(site, "kind").stdout == "none\n"
    (site / "appliance.toml").write_text('[ledger]\nurl = "postgresql+psycopg://site/ledger"\n')
    assert run(site, "kind").stdout == "server\n"
    assert run(site, "copy", site / "copies").returncode == 2
    assert list((site / "copies").iterdir()) == []


def test_a_ledger_that_is_damaged_is_refused_in_one_line(site):
    (site / "ledger.sqlite").write_bytes(b"SQLite format 3\0" + bytes(range(256)) * 40)
    done = run(site, "copy", site / "copies")
    assert done.returncode == 1
    assert "ledger.sqlite" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((site / "copies").iterdir()) == []
