# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from appliance.errors import SettingsError, UnavailableError
from appliance.ledger import tables
from appliance.ledger.engine import awaits_migration, open_engine
from appliance.ledger.ledger import Ledger
from appliance.ledger.migrate import MIGRATIONS, revisions
from appliance.ledger.records import Origin, Position
from appliance.ledger.states import JobState, StudyState
from tests.appliance.ledger.postgres import make_database

FIRST_SCHEMA = Path(__file__).parent / "first_schema.sql"

LATER = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0099", {newest!r}, None, None


def upgrade():
    with op.batch_alter_table("jobs", recreate={recreate!r}) as table:
        table.add_column(sa.Column("grade", sa.Integer, nullable=False, server_default="3"))
    {then}
"""


def ask(url: str, statement: str) -> list[tuple[Any, ...]]:
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(statement))
        rows = [tuple(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without a table."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    return make_database(request.getfixturevalue("postgres"), "ledger")


@pytest.fixture
def first(url: str) -> str:
    """A ledger that was written before there were migrations."""
    engine = create_engine(url)
    number = "SERIAL" if engine.dialect.name == "postgresql" else "INTEGER"
    with engine.begin() as connection:
        for statement in FIRST_SCHEMA.read_text().format(number=number).split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(statement)
    engine.dispose()
    return url


def later_migrations(folder: Path, recreate: str = "auto", then: str = "") -> Path:
    """Return the migrations of a version to come, which adds a column to the jobs."""
    migrations = folder / "migrations"
    shutil.copytree(MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    newest = sorted((migrations / "versions").glob("r*.py"))[-1].name[1:5]
    (migrations / "versions" / "r0099_later.py").write_text(LATER.format(newest=newest, recreate=recreate, then=then))
    return migrations


def test_what_was_answered_before_there_were_rules_is_not_delivered_by_them(first: str) -> None:
    ledger = Ledger(first)
    states = {state for state, jobs in ledger.views.job_counts().items() if jobs}
    assert JobState.DONE in states
    assert ledger.outbox.unrouted() == []
    ledger.close()


def differences(connection: Connection) -> list[Any]:
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, tables.metadata))


def test_a_ledger_from_before_migrations_is_brought_forward_and_keeps_its_rows(first: str) -> None:
    ledger = Ledger(first)
    assert ledger.feed.position() == Position(71, "NewInstance a 71", 1_800_000_000.5)
    assert {name: known.origin for name, known in ledger.series.find_known(["s1-series", "sr-series"]).items()} == {
        "s1-series": Origin.SOURCE,
        "sr-series": Origin.OWN,
    }
    (study,) = ledger.studies.list_followed()
    assert (study.id, study.state, study.why) == ("s2", StudyState.INCOMPLETE, "a slice is missing")
    (job,) = ledger.jobs.of_study("s1")
    assert (job.state, job.left_out, job.answer) == (JobState.DONE, ("rescan",), {"present": True})
    assert (job.refusals[0]["code"], job.timing_ms, job.turnaround_s) == ("localizer", {"read": 41.5}, 2.75)
    assert [result.orthanc_instance for result in ledger.jobs.results(job.id)] == ["sr-instance"]
    ledger.close()


def test_a_ledger_that_was_brought_forward_goes_on_where_it_was(first: str) -> None:
    ledger = Ledger(first)
    assert ledger.feed.advance(Position(71, "NewInstance a 71", 0.0), Position(72, "NewInstance b 72", 0.0))
    (study,) = ledger.studies.list_followed()
    assert ledger.studies.decide(study, None) is None
    assert ledger.views.study_counts()[StudyState.DECIDED] == 2
    ledger.close()


@pytest.mark.parametrize("is_new", [True, False])
def test_migrations_lead_to_the_very_tables_that_the_code_uses(
    request: pytest.FixtureRequest, url: str, is_new: bool
) -> None:
    if not is_new:
        request.getfixturevalue("first")
    engine = open_engine(url)
    with engine.connect() as connection:
        assert differences(connection) == []
    engine.dispose()


def test_a_table_that_the_code_changes_without_a_migration_is_noticed(url: str) -> None:
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs DROP COLUMN turnaround_s")
        assert [difference[0] for difference in differences(connection)] == ["add_column"]
    engine.dispose()


def test_services_that_start_at_once_migrate_once(first: str) -> None:
    begin = threading.Barrier(4)
    faults: list[Exception] = []

    def start() -> None:
        begin.wait()
        try:
            ledger = Ledger(first)
            ledger.services.beat("me", "1")
            ledger.close()
        except Exception as error:
            faults.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert len(ask(first, "SELECT version_num FROM alembic_version")) == 1
    assert ask(first, "SELECT count(*) FROM jobs") == [(1,)]


@contextmanager
def hold_lock_of_migration(url: str) -> Iterator[None]:
    """Do what another service does that is in the middle of its migration."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SELECT pg_advisory_xact_lock(4157201)")
        else:
            connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # as every version of the appliance has set it
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield
        connection.rollback()
    engine.dispose()


def test_a_service_waits_for_anothers_migration_however_long_that_takes(first: str) -> None:
    ended: list[Exception | None] = []

    def start() -> None:
        try:
            open_engine(first, busy_s=0.05).dispose()
            ended.append(None)
        except Exception as error:
            ended.append(error)

    thread = threading.Thread(target=start)
    with hold_lock_of_migration(first):
        thread.start()
        thread.join(2.0)  # forty times as long as it would wait for any other writer
        assert ended == []
    thread.join()
    assert ended == [None]
    assert not awaits_migration(first)


def test_a_migration_that_never_ends_is_given_up_and_said_to_be_one(first: str) -> None:
    with (
        hold_lock_of_migration(first),
        pytest.raises(UnavailableError, match=r"another program has held its lock for 0\.1 s"),
    ):
        open_engine(first, busy_s=0.05, migration_s=0.1)


def test_a_ledger_of_this_version_is_opened_though_another_program_has_locked_it(url: str) -> None:
    open_engine(url).dispose()
    with hold_lock_of_migration(url):
        open_engine(url, busy_s=0.05, migration_s=0.1).dispose()


def test_a_later_migration_adds_a_column_and_keeps_the_rows(first: str, tmp_path: Path) -> None:
    open_engine(first, later_migrations(tmp_path)).dispose()
    assert ask(first, "SELECT id, state, grade FROM jobs") == [(1, "done", 3)]
    assert ask(first, "SELECT job, kind FROM results") == [(1, "sr")]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_a_table_that_sqlite_has_to_write_anew_keeps_its_rows_and_what_refers_to_them(
    first: str, tmp_path: Path
) -> None:
    open_engine(first, later_migrations(tmp_path, recreate="always")).dispose()
    assert ask(first, "SELECT id, state, grade FROM jobs") == [(1, "done", 3)]
    assert ask(first, "SELECT job, kind FROM results") == [(1, "sr")]


def test_a_migration_that_fails_leaves_the_ledger_as_it_was(first: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened"):
        open_engine(first, later_migrations(tmp_path, then='op.execute("DELETE FROM no_such_table")'))
    engine = create_engine(first)
    assert "grade" not in {column["name"] for column in inspect(engine).get_columns("jobs")}
    assert not inspect(engine).has_table("alembic_version")
    engine.dispose()
    ledger = Ledger(first)
    assert len(ledger.jobs.of_study("s1")) == 1
    ledger.close()


def test_foreign_keys_are_watched_again_after_a_migration(tmp_path: Path) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with pytest.raises(DBAPIError, match="FOREIGN KEY"), engine.begin() as connection:
        connection.exec_driver_sql("INSERT INTO results VALUES (99, 'i', 's', 'sr', '1.2')")
    engine.dispose()


def test_a_ledger_of_a_later_version_is_not_opened(url: str, tmp_path: Path) -> None:
    open_engine(url, later_migrations(tmp_path)).dispose()
    with pytest.raises(SettingsError, match="revision 0099"):
        Ledger(url)
    with pytest.raises(SettingsError, match="revision 0099"):
        awaits_migration(url)


def test_a_ledger_with_an_unknown_schema_number_is_not_opened(first: str) -> None:
    ask(first, "UPDATE schema SET version = 99")
    with pytest.raises(SettingsError, match="schema 99"):
        Ledger(first)


def test_a_version_from_before_migrations_refuses_a_ledger_that_has_had_them(first: str) -> None:
    """Such a version opens a ledger whose number is 1, and no other."""
    Ledger(first).close()
    assert ask(first, "SELECT version FROM schema") == [(2,)]


def test_whether_a_ledger_awaits_its_migration_is_told_without_changing_it(first: str) -> None:
    assert awaits_migration(first)
    assert ask(first, "SELECT version FROM schema") == [(1,)]
    Ledger(first).close()
    assert not awaits_migration(first)


def test_the_names_of_the_files_are_the_revisions_each_after_the_one_before() -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    scripts = list(ScriptDirectory.from_config(config).walk_revisions())[::-1]
    assert [script.revision for script in scripts] == revisions()
    assert [script.down_revision for script in scripts] == [None, *revisions()[:-1]]


def test_a_ledger_that_needs_no_migration_is_opened_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    program = (
        "import sys; from appliance.ledger.ledger import Ledger; "
        f"Ledger({url!r}).close(); print('alembic' in sys.modules)"
    )

    def start() -> str:
        return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert start().endswith("True\n")
    assert start() == "False\n"
