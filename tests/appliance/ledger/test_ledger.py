# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from appliance.errors import SettingsError, UnavailableError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import (
    NewJob,
    Origin,
)
from appliance.ledger.services import TwinError
from appliance.ledger.states import JobState, StudyState
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.course import GONE, START, arrival, claim, follow, queue, state_of
from tests.appliance.ledger.new_ledger import ledger_in


class TestChangeLog:
    def test_only_the_first_start_begins(self, ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
        assert ledger.feed.position() is None
        assert ledger.feed.begin(START)
        assert not open_ledger().feed.begin(replace(START, seq=99))
        assert ledger.feed.position() == START

    def test_the_cursor_moves_together_with_what_it_led_to(self, ledger: Ledger) -> None:
        ledger.feed.begin(START)
        after = replace(START, seq=9, fingerprint="NewInstance b 2")
        assert ledger.feed.advance(START, after, [arrival()])
        assert ledger.feed.position() == after
        assert follow(ledger).state is StudyState.RECEIVING
        assert ledger.series.find_known(["s1-series", "other"])["s1-series"].origin is Origin.SOURCE

    def test_of_two_that_read_the_same_page_one_takes_it_in(self, ledger: Ledger) -> None:
        ledger.feed.begin(START)
        after = replace(START, seq=9, fingerprint="NewInstance b 2")
        assert ledger.feed.advance(START, after)
        assert not ledger.feed.advance(START, after, [arrival()])
        assert ledger.studies.list_followed() == []


class TestStudies:
    def test_the_last_instance_and_the_quiet_time_follow_the_newest_arrival(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival(at=50), arrival(at=52), arrival(at=51)])
        study = follow(ledger)
        assert (study.last_instance_at, study.quiet_from) == (52, 52)

    def test_a_late_stamp_corrects_when_the_last_instance_came(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival(at=50.9)])
        ledger.studies.stamp("s1", 50.4, 50.9)
        assert (follow(ledger).last_instance_at, follow(ledger).quiet_from) == (50.4, 50.4)

    def test_a_late_stamp_does_not_shorten_the_quiet_time_of_a_study_that_went_on(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival(at=50.9), arrival(at=51.5)])
        ledger.studies.stamp("s1", 50.4, 50.9)
        assert (follow(ledger).last_instance_at, follow(ledger).quiet_from) == (51.5, 51.5)

    def test_a_study_that_went_on_meanwhile_is_not_decided_on_what_was_seen_before(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival(at=50)])
        seen = follow(ledger)
        ledger.feed.notice([arrival(at=51)])
        assert ledger.studies.decide(seen, NewJob("set", "c")) is None
        assert not ledger.studies.miss(seen, "more", ())
        assert ledger.queue.claim("me", 60) is None

    def test_a_study_is_decided_once(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival()])
        seen = follow(ledger)
        assert ledger.studies.decide(seen, NewJob("set", "c")) is not None
        assert ledger.studies.decide(seen, NewJob("set", "c")) is None

    def test_a_study_that_misses_something_says_what(self, ledger: Ledger) -> None:
        ledger.feed.notice([arrival()])
        assert ledger.studies.miss(follow(ledger), "a slice is missing", (GONE,))
        study = follow(ledger)
        assert (study.state, study.why) == (StudyState.INCOMPLETE, "a slice is missing")
        assert study.refusals == [{"series_uid": None, "code": "source_deleted", "reason": "gone"}]

    def test_a_new_answer_withdraws_one_that_nobody_has_begun(self, ledger: Ledger) -> None:
        first = queue(ledger, at=50, chosen="short")
        second = queue(ledger, at=60, chosen="long")
        assert state_of(ledger, first) is JobState.WITHDRAWN
        assert claim(ledger).id == second

    def test_an_answer_beside_another_withdraws_nothing(self, ledger: Ledger) -> None:
        first = queue(ledger, at=50)
        ledger.feed.notice([arrival(at=60)])
        ledger.studies.decide(follow(ledger), NewJob("set", "rescan", left_out=("c",)))
        assert state_of(ledger, first) is JobState.QUEUED

    def test_a_deleted_study_takes_its_waiting_jobs_with_it(self, ledger: Ledger) -> None:
        job = queue(ledger)
        ledger.studies.delete("s1")
        assert state_of(ledger, job) is JobState.REFUSED
        assert ledger.jobs.of_study("s1")[0].refusals[0]["code"] == "source_deleted"
        ledger.studies.delete("never heard of")


class TestServices:
    def test_a_heartbeat_is_written_and_only_two_that_beat_as_one_are_twins(
        self, ledger: Ledger, open_ledger: Callable[[], Ledger]
    ) -> None:
        ledger.services.beat("me", "1")
        ledger.services.beat("me", "1")
        again = open_ledger()
        again.services.beat("me", "2")  # a restart: the session before has ended
        again.services.beat("me", "2")
        ledger.services.beat("other", "1")
        with pytest.raises(TwinError, match=r"identity\.json"):
            ledger.services.beat("me", "1")  # but it has not
        with pytest.raises(TwinError):
            again.services.beat("me", "2")

    def test_services_that_were_there_just_now_and_work_by_other_rules_are_named(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        ledger.services.beat("gone", "1", "c" * 64)
        clock.now += 600
        for name, rules in (("me", "a" * 64), ("like me", "a" * 64), ("other", "b" * 64), ("doctor", "")):
            ledger.services.beat(name, "1", rules)
        assert ledger.services.with_other_rules("a" * 64) == ["other"]
        assert ledger.services.with_other_rules("b" * 64) == ["like me", "me"]
        ledger.services.beat("other", "1", "a" * 64)  # restarted with the same rules
        assert ledger.services.with_other_rules("a" * 64) == []


@pytest.mark.parametrize("url", ["nonsense", "oracle+nothing://x/y"])
def test_a_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ledger\.url"):
        Ledger(url)


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = ledger_in(file)
    queue(ledger)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM jobs")
    (status,) = ledger.views.newest_studies(50)
    assert len(status.jobs) == len(ledger.jobs.of_study("s1")) == ledger.views.job_counts()[JobState.QUEUED] == 1
    assert ledger.views.study_counts()[StudyState.DECIDED] == 1
    assert ledger.studies.list_followed() == []
    assert ledger.series.find_known(["s1-series"])
    assert ledger.jobs.results(1) == []
    assert ledger.queue.next_try() is None
    assert ledger.feed.position() is None
    writer.execute("ROLLBACK")
    writer.close()
    ledger.close()


def test_a_ledger_whose_file_is_damaged_is_one_that_does_not_answer(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger(f"sqlite:///{file}")
    ledger.close()
    file.write_bytes(b"no database at all" * 1000)
    with pytest.raises(UnavailableError, match="check its disk"):
        ledger.queue.renew([], 60)
    ledger.close()


@pytest.fixture
def nobody() -> Iterator[Path]:
    """A folder of root's that everybody may look into, seen as a user who owns nothing."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)
        os.seteuid(0)


def test_a_ledger_whose_files_are_another_users_does_not_count_as_well_and_says_what_to_do(nobody: Path) -> None:
    url = f"sqlite:///{nobody / 'ledger.sqlite'}"
    owners = Ledger(url)
    owners.services.beat("me", "1")
    os.seteuid(65534)
    try:
        with pytest.raises(UnavailableError, match="it is read-only: give this user the ledger's file"):
            Ledger(url).services.beat("me", "1")
    finally:
        os.seteuid(0)
    owners.close()


def test_a_ledger_that_may_only_be_read_does_not_count_as_well(new_postgres: str) -> None:
    owners = Ledger(new_postgres)
    with create_engine(new_postgres).begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO reader")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    readers = Ledger(make_url(new_postgres).set(username="reader").render_as_string())
    with pytest.raises(UnavailableError, match=r"grant the user of ledger\.url all rights"):
        readers.services.beat("me", "1")
    readers.close()
    owners.close()


def test_a_ledger_that_another_program_has_locked_does_not_count_as_well_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger(f"sqlite:///{file}", busy_s=0.1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match="another program holds its lock"):
        ledger.services.beat("me", "1")
    other.execute("ROLLBACK")
    ledger.services.beat("me", "1")
    other.close()
    ledger.close()


def test_a_ledger_that_cannot_be_opened_says_where_it_is_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be opened"):
        Ledger(f"sqlite:///{tmp_path}")
