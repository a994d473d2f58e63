# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url

from appliance.errors import Refusal, RefusalCode, SettingsError, UnavailableError
from appliance.ledger.jobs import LostJobError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import (
    OLD,
    ROUTINE,
    URGENT,
    Arrival,
    FollowedStudy,
    Job,
    KnownSeries,
    NewJob,
    Origin,
    Position,
    ResultObject,
)
from appliance.ledger.services import TwinError
from appliance.ledger.states import InvalidTransitionError, JobState, StudyState
from tests.appliance.ledger.clock import Clock

START = Position(7, "NewInstance a 1", 100.0)
GONE = Refusal(RefusalCode.SOURCE_DELETED, "gone")


def arrival(study: str = "s1", at: float = 50.0, live: bool = True) -> Arrival:
    series = KnownSeries(f"{study}-series", study, Origin.SOURCE, 3)
    return Arrival(study, f"1.2.{study}", at, at, live, (series,))


def follow(ledger: Ledger, study: str = "s1") -> FollowedStudy:
    return next(one for one in ledger.studies.followed() if one.id == study)


def queue(ledger: Ledger, study: str = "s1", at: float = 50.0, chosen: str = "c") -> int:
    ledger.feed.notice([arrival(study, at)])
    job = ledger.studies.decide(follow(ledger, study), NewJob(f"set of {study} at {at}", chosen))
    assert job is not None
    return job


def claim(ledger: Ledger, owner: str = "me") -> Job:
    job = ledger.jobs.claim(owner, 60)
    assert job is not None
    return job


def deliver(ledger: Ledger, job: Job, sr: str, series: str = "1.9") -> None:
    result = ResultObject(f"instance {sr}", f"series {sr}", "sr", sr)
    ledger.jobs.deliver(job, [result], {"present": True}, (), "c", series)


def finish(ledger: Ledger, sr: str, series: str = "1.9") -> list[int]:
    job = claim(ledger)
    deliver(ledger, job, sr, series)
    return ledger.jobs.finish(job, "1.88", sr, {"read": 1.0}, 2.5)


def state_of(ledger: Ledger, job: int, study: str = "s1") -> JobState:
    return next(one.state for one in ledger.jobs.of_study(study) if one.id == job)


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
        assert ledger.series.known(["s1-series", "other"])["s1-series"].origin is Origin.SOURCE

    def test_of_two_that_read_the_same_page_one_takes_it_in(self, ledger: Ledger) -> None:
        ledger.feed.begin(START)
        after = replace(START, seq=9, fingerprint="NewInstance b 2")
        assert ledger.feed.advance(START, after)
        assert not ledger.feed.advance(START, after, [arrival()])
        assert ledger.studies.followed() == []


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
        assert ledger.jobs.claim("me", 60) is None

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


class TestJobs:
    def test_who_came_live_comes_first_by_arrival_then_what_a_person_asks_for_then_the_backlog(
        self, ledger: Ledger
    ) -> None:
        ledger.feed.notice([arrival("backlog", 10, live=False)])
        backlog = ledger.studies.decide(follow(ledger, "backlog"), NewJob("set", "c"))
        asked = ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="series"))
        late, early = queue(ledger, "late", at=70), queue(ledger, "early", at=60)
        assert [claim(ledger).id for _ in range(4)] == [early, late, asked, backlog]

    def test_an_emergency_goes_before_what_came_earlier_and_an_old_scan_after_what_came_later(
        self, ledger: Ledger
    ) -> None:
        ids = {}
        for at, (name, priority) in enumerate(
            {"old": OLD, "first": ROUTINE, "second": ROUTINE, "emergency": URGENT}.items(), start=50
        ):
            ledger.feed.notice([arrival(name, at)])
            ids[name] = ledger.studies.decide(follow(ledger, name), NewJob(name, "c", priority=priority))
        assert [claim(ledger).id for _ in range(4)] == [ids[n] for n in ("emergency", "first", "second", "old")]

    def test_a_failure_that_lasts_for_days_costs_no_job(self, ledger: Ledger, clock: Clock) -> None:
        job = queue(ledger)
        for _ in range(1000):
            ledger.jobs.postpone(claim(ledger), "Triton is away", clock.now + 300)
            clock.now += 300
        assert claim(ledger).id == job

    def test_how_long_a_job_has_been_in_a_workers_hands_is_known_and_a_job_that_waits_is_in_nobodys(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        queue(ledger)
        clock.now += 1000
        assert ledger.views.longest_running_s() == 0
        job = claim(ledger)
        clock.now += 40
        assert ledger.views.longest_running_s() == 40
        ledger.jobs.postpone(job, "Triton is away", clock.now + 300)
        assert ledger.views.longest_running_s() == 0

    def test_no_more_answers_may_be_asked_for_than_may_be_on_their_way(self, ledger: Ledger) -> None:
        first = ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="one"), 2)
        ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="two"), 2)
        assert ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="three"), 2) is None
        assert ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="one"), 2) == first
        ledger.jobs.refuse(claim(ledger), (GONE,), {})
        assert ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="three"), 2) is not None

    def test_asking_twice_is_asking_once(self, ledger: Ledger) -> None:
        first = ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="series"))
        assert ledger.jobs.request("asked", "1.2.3", NewJob("", "", series="series")) == first

    def test_a_study_that_receives_again_is_left_until_it_is_quiet(self, ledger: Ledger) -> None:
        job = queue(ledger)
        ledger.feed.notice([arrival(at=60)])
        assert ledger.jobs.claim("me", 60) is None
        ledger.studies.decide(follow(ledger), None)
        assert claim(ledger).id == job

    def test_two_workers_never_have_the_same_job(self, ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
        jobs = {queue(ledger, f"s{number}") for number in range(12)}
        taken: list[int] = []

        def work(mine: Ledger, owner: str) -> None:
            while (job := mine.jobs.claim(owner, 60)) is not None:
                taken.append(job.id)

        threads = [threading.Thread(target=work, args=(open_ledger(), f"w{number}")) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(jobs)

    def test_a_job_that_waits_has_its_time(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        ledger.jobs.postpone(claim(ledger), "Triton is away", clock.now + 4)
        assert ledger.jobs.next_try() == clock.now + 4
        assert ledger.jobs.claim("me", 60) is None
        clock.now += 4
        assert claim(ledger).tries == 2

    def test_a_job_whose_study_receives_again_has_no_time_before_it_is_quiet(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        queue(ledger)
        ledger.jobs.postpone(claim(ledger), "Triton is away", clock.now - 1)
        ledger.feed.notice([arrival(at=60)])
        assert ledger.jobs.claim("me", 60) is None
        assert ledger.jobs.next_try() is None
        ledger.studies.decide(follow(ledger), None)
        assert ledger.jobs.next_try() == clock.now - 1
        assert ledger.jobs.claim("me", 60) is not None

    def test_a_neighbour_that_is_back_ends_the_wait_but_not_that_of_a_job_that_broke(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        waits, broke = queue(ledger, "s1", at=1), queue(ledger, "s2", at=2)
        ledger.jobs.postpone(claim(ledger), "away", clock.now + 300)
        ledger.jobs.postpone(claim(ledger), "broke", clock.now + 300, crashed=True)
        ledger.jobs.hurry()
        assert claim(ledger).id == waits
        assert ledger.jobs.claim("me", 60) is None
        assert state_of(ledger, broke, "s2") is JobState.WAITING

    def test_the_newer_answer_supersedes_the_older(self, ledger: Ledger) -> None:
        first = queue(ledger, at=50, chosen="short")
        assert finish(ledger, "1.100") == []
        queue(ledger, at=60, chosen="long")
        assert finish(ledger, "1.200") == [first]
        assert state_of(ledger, first) is JobState.SUPERSEDED

    def test_the_same_answer_again_supersedes_nothing(self, ledger: Ledger) -> None:
        queue(ledger, at=50)
        finish(ledger, "1.100")
        ledger.jobs.request("s1", "1.2.s1", NewJob("", "", series="s1-series"))
        assert finish(ledger, "1.100") == []

    def test_an_asked_for_answer_supersedes_only_one_about_the_same_series(self, ledger: Ledger) -> None:
        about_study = queue(ledger, at=50)
        finish(ledger, "1.100", series="soft")
        ledger.jobs.request("s1", "1.2.s1", NewJob("", "", series="thin"))
        assert finish(ledger, "1.200", series="thin") == []
        ledger.jobs.request("s1", "1.2.s1", NewJob("", "", series="soft"))
        assert finish(ledger, "1.300", series="soft") == [about_study]

    def test_our_own_results_are_known_before_they_are_stored(self, ledger: Ledger) -> None:
        queue(ledger)
        job = claim(ledger)
        deliver(ledger, job, "1.100")
        assert ledger.series.known(["series 1.100"])["series 1.100"].origin is Origin.OWN
        assert [result.sop_instance_uid for result in ledger.jobs.results(job.id)] == ["1.100"]

    def test_a_job_left_in_the_middle_is_taken_up_and_its_results_are_listed_once(self, ledger: Ledger) -> None:
        job = queue(ledger)
        deliver(ledger, claim(ledger), "1.100")
        assert [one.id for one in ledger.jobs.take_up("me", ())] == [job]
        again = claim(ledger)
        deliver(ledger, again, "1.100")
        ledger.jobs.finish(again, "1.88", "1.100", {}, None)
        assert state_of(ledger, job) is JobState.DONE
        assert len(ledger.jobs.results(job)) == 1

    def test_a_job_of_a_service_that_lives_is_not_taken_up(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        theirs = claim(ledger, "other/1")
        assert ledger.jobs.take_up("me/1", ()) == []
        clock.now += 59
        ledger.jobs.renew([theirs], 60)
        clock.now += 59
        assert ledger.jobs.take_up("me/1", ()) == []
        clock.now += 2
        assert len(ledger.jobs.take_up("me/1", ())) == 1

    def test_a_job_of_ours_that_no_worker_holds_is_taken_up_at_once_and_says_nothing_of_its_study(
        self, ledger: Ledger
    ) -> None:
        held, left = queue(ledger, "s1", at=1), queue(ledger, "s2", at=2)
        claim(ledger, "me/1")
        claim(ledger, "me/1")
        assert [job.id for job in ledger.jobs.take_up("me/1", [held])] == [left]
        assert state_of(ledger, held) is JobState.RUNNING
        (job,) = ledger.jobs.of_study("s2")
        assert (job.state, job.deaths, job.crashes) == (JobState.QUEUED, 0, 0)

    def test_a_job_of_the_session_before_is_taken_up_at_once_and_one_of_a_like_named_service_is_not(
        self, ledger: Ledger
    ) -> None:
        queue(ledger, "s1", at=1)
        queue(ledger, "s2", at=2)
        claim(ledger, "me/1")
        claim(ledger, "me_/1")
        assert [job.orthanc_study for job in ledger.jobs.take_up("me/2", ())] == ["s1"]
        assert ledger.jobs.of_study("s1")[0].deaths == 1

    def test_the_lease_of_a_job_that_was_tried_again_is_not_renewed_by_the_try_before(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        queue(ledger)
        before = claim(ledger)
        ledger.jobs.postpone(before, "Triton is away", 0.0)
        now = claim(ledger)
        ledger.jobs.renew([before], 600)
        assert ledger.jobs.of_study("s1")[0].lease_until == now.lease_until

    def test_a_worker_that_lost_its_job_cannot_record_anything_about_it(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        lost = claim(ledger, "slow")
        clock.now += 61
        ledger.jobs.take_up("quick", ())
        with pytest.raises(LostJobError):
            ledger.jobs.postpone(lost, "late", 0.0)
        claim(ledger, "quick")
        with pytest.raises(LostJobError):
            deliver(ledger, lost, "1.100")
        assert ledger.jobs.results(lost.id) == []

    @pytest.mark.parametrize("do", ["postpone", "refuse", "deliver", "finish", "confirm"])
    def test_a_worker_of_an_earlier_try_cannot_record_anything_though_the_owner_is_the_same(
        self, ledger: Ledger, do: str
    ) -> None:
        queue(ledger)
        before = claim(ledger)
        ledger.jobs.postpone(before, "Triton is away", 0.0)
        now = claim(ledger)
        if do == "finish":
            deliver(ledger, now, "1.100")
        arguments = {
            "postpone": ("late", 0.0),
            "refuse": ((GONE,), {}),
            "deliver": ([], {}, (), "c", "1.9"),
            "finish": ("1.88", "1.100", {}, None),
            "confirm": (),
        }
        with pytest.raises(LostJobError):
            getattr(ledger.jobs, do)(before, *arguments[do])
        ledger.jobs.confirm(now)
        assert state_of(ledger, now.id) is (JobState.DELIVERING if do == "finish" else JobState.RUNNING)

    def test_a_study_that_was_read_when_its_service_died_comes_first_again_however_often(self, ledger: Ledger) -> None:
        first = queue(ledger, "s1", at=1)
        queue(ledger, "s2", at=2)
        for life in range(7):
            assert claim(ledger, f"me/{life}").id == first
            ledger.jobs.take_up(f"me/{life + 1}", ())
        assert state_of(ledger, first) is JobState.QUEUED
        assert ledger.jobs.of_study("s1")[0].deaths == 7

    def test_what_the_state_does_not_allow_raises_and_changes_nothing(self, ledger: Ledger) -> None:
        queue(ledger)
        job = claim(ledger)
        with pytest.raises(InvalidTransitionError):
            ledger.jobs.finish(job, "1.88", "1.100", {}, None)
        assert state_of(ledger, job.id) is JobState.RUNNING

    def test_jobs_are_counted_in_every_state(self, ledger: Ledger) -> None:
        queue(ledger, "s1")
        queue(ledger, "s2")
        claim(ledger)
        counts = ledger.views.job_counts()
        assert set(counts) == set(JobState)
        assert (counts[JobState.QUEUED], counts[JobState.RUNNING], counts[JobState.DONE]) == (1, 1, 0)

    def test_the_newest_studies_come_first_with_all_their_jobs(self, ledger: Ledger) -> None:
        queue(ledger, "old", at=10)
        queue(ledger, "new", at=20)
        queue(ledger, "new", at=30, chosen="d")
        newest = ledger.views.newest_studies(1)
        assert [one.study.id for one in newest] == ["new"]
        assert [job.state for job in newest[0].jobs] == [JobState.WITHDRAWN, JobState.QUEUED]


@pytest.mark.parametrize("url", ["nonsense", "oracle+nothing://x/y"])
def test_a_url_that_is_none_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsError, match=r"ledger\.url"):
        Ledger(url)


def test_who_reads_does_not_wait_for_who_writes(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    ledger = Ledger(f"sqlite:///{file}")
    queue(ledger)
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    writer.execute("DELETE FROM jobs")
    (status,) = ledger.views.newest_studies(50)
    assert len(status.jobs) == len(ledger.jobs.of_study("s1")) == ledger.views.job_counts()[JobState.QUEUED] == 1
    assert ledger.views.study_counts()[StudyState.DECIDED] == 1
    assert ledger.studies.followed() == []
    assert ledger.series.known(["s1-series"])
    assert ledger.jobs.results(1) == []
    assert ledger.jobs.next_try() is None
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
        ledger.jobs.renew([], 60)
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


def test_a_ledger_that_may_only_be_read_does_not_count_as_well(postgres: str, empty_postgres: str) -> None:
    owners = Ledger(empty_postgres)
    with create_engine(postgres).begin() as connection:
        connection.exec_driver_sql("DROP ROLE IF EXISTS reader")
        connection.exec_driver_sql("CREATE ROLE reader LOGIN")
        connection.exec_driver_sql("GRANT USAGE ON SCHEMA public TO reader")
        connection.exec_driver_sql("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    readers = Ledger(make_url(postgres).set(username="reader").render_as_string())
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
