# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from appliance.ledger.job_rows import LostJobError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import (
    OLD,
    ROUTINE,
    URGENT,
    NewJob,
)
from appliance.ledger.states import JobState
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.course import GONE, arrival, claim, deliver, follow, queue, state_of


class TestQueue:
    def test_who_came_live_comes_first_by_arrival_then_what_a_person_asks_for_then_the_backlog(
        self, ledger: Ledger
    ) -> None:
        ledger.feed.notice([arrival("backlog", 10, live=False)])
        backlog = ledger.studies.decide(follow(ledger, "backlog"), NewJob("set", "c"))
        asked = ledger.queue.request("asked", "1.2.3", NewJob("", "", series="series"))
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
            ledger.queue.postpone(claim(ledger), "Triton is away", clock.now + 300)
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
        ledger.queue.postpone(job, "Triton is away", clock.now + 300)
        assert ledger.views.longest_running_s() == 0

    def test_how_long_the_oldest_job_has_waited_for_a_worker_is_known_and_one_that_waits_for_triton_waits_for_none(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        assert ledger.views.oldest_queued_s() == 0
        queue(ledger)
        clock.now += 40
        assert ledger.views.oldest_queued_s() == 40
        job = claim(ledger)
        assert ledger.views.oldest_queued_s() == 0
        ledger.queue.postpone(job, "Triton is away", clock.now + 300)
        clock.now += 40
        assert ledger.views.oldest_queued_s() == 0

    def test_no_more_answers_may_be_asked_for_than_may_be_on_their_way(self, ledger: Ledger) -> None:
        first = ledger.queue.request("asked", "1.2.3", NewJob("", "", series="one"), 2)
        ledger.queue.request("asked", "1.2.3", NewJob("", "", series="two"), 2)
        assert ledger.queue.request("asked", "1.2.3", NewJob("", "", series="three"), 2) is None
        assert ledger.queue.request("asked", "1.2.3", NewJob("", "", series="one"), 2) == first
        ledger.jobs.refuse(claim(ledger), (GONE,), {})
        assert ledger.queue.request("asked", "1.2.3", NewJob("", "", series="three"), 2) is not None

    def test_asking_twice_is_asking_once(self, ledger: Ledger) -> None:
        first = ledger.queue.request("asked", "1.2.3", NewJob("", "", series="series"))
        assert ledger.queue.request("asked", "1.2.3", NewJob("", "", series="series")) == first

    def test_a_study_that_receives_again_is_left_until_it_is_quiet(self, ledger: Ledger) -> None:
        job = queue(ledger)
        ledger.feed.notice([arrival(at=60)])
        assert ledger.queue.claim("me", 60) is None
        ledger.studies.decide(follow(ledger), None)
        assert claim(ledger).id == job

    def test_two_workers_never_have_the_same_job(self, ledger: Ledger, open_ledger: Callable[[], Ledger]) -> None:
        jobs = {queue(ledger, f"s{number}") for number in range(12)}
        taken: list[int] = []

        def work(mine: Ledger, owner: str) -> None:
            while (job := mine.queue.claim(owner, 60)) is not None:
                taken.append(job.id)

        threads = [threading.Thread(target=work, args=(open_ledger(), f"w{number}")) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == sorted(jobs)

    def test_a_job_that_waits_has_its_time(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        ledger.queue.postpone(claim(ledger), "Triton is away", clock.now + 4)
        assert ledger.queue.next_try() == clock.now + 4
        assert ledger.queue.claim("me", 60) is None
        clock.now += 4
        assert claim(ledger).tries == 2

    def test_a_job_whose_study_receives_again_has_no_time_before_it_is_quiet(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        queue(ledger)
        ledger.queue.postpone(claim(ledger), "Triton is away", clock.now - 1)
        ledger.feed.notice([arrival(at=60)])
        assert ledger.queue.claim("me", 60) is None
        assert ledger.queue.next_try() is None
        ledger.studies.decide(follow(ledger), None)
        assert ledger.queue.next_try() == clock.now - 1
        assert ledger.queue.claim("me", 60) is not None

    def test_a_neighbour_that_is_back_ends_the_wait_but_not_that_of_a_job_that_broke(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        waits, broke = queue(ledger, "s1", at=1), queue(ledger, "s2", at=2)
        ledger.queue.postpone(claim(ledger), "away", clock.now + 300)
        ledger.queue.postpone(claim(ledger), "broke", clock.now + 300, crashed=True)
        ledger.queue.hurry()
        assert claim(ledger).id == waits
        assert ledger.queue.claim("me", 60) is None
        assert state_of(ledger, broke, "s2") is JobState.WAITING

    def test_a_job_left_in_the_middle_is_taken_up_and_its_results_are_listed_once(self, ledger: Ledger) -> None:
        job = queue(ledger)
        deliver(ledger, claim(ledger), "1.100")
        assert [one.id for one in ledger.queue.take_up("me", ())] == [job]
        again = claim(ledger)
        deliver(ledger, again, "1.100")
        ledger.jobs.finish(again, "1.88", "1.100", {}, None)
        assert state_of(ledger, job) is JobState.DONE
        assert len(ledger.jobs.results(job)) == 1

    def test_a_job_of_a_service_that_lives_is_not_taken_up(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        theirs = claim(ledger, "other/1")
        assert ledger.queue.take_up("me/1", ()) == []
        clock.now += 59
        ledger.queue.renew([theirs], 60)
        clock.now += 59
        assert ledger.queue.take_up("me/1", ()) == []
        clock.now += 2
        assert len(ledger.queue.take_up("me/1", ())) == 1

    def test_a_job_of_ours_that_no_worker_holds_is_taken_up_at_once_and_says_nothing_of_its_study(
        self, ledger: Ledger
    ) -> None:
        held, left = queue(ledger, "s1", at=1), queue(ledger, "s2", at=2)
        claim(ledger, "me/1")
        claim(ledger, "me/1")
        assert [job.id for job in ledger.queue.take_up("me/1", [held])] == [left]
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
        assert [job.orthanc_study for job in ledger.queue.take_up("me/2", ())] == ["s1"]
        assert ledger.jobs.of_study("s1")[0].deaths == 1

    def test_the_lease_of_a_job_that_was_tried_again_is_not_renewed_by_the_try_before(
        self, ledger: Ledger, clock: Clock
    ) -> None:
        queue(ledger)
        before = claim(ledger)
        ledger.queue.postpone(before, "Triton is away", 0.0)
        now = claim(ledger)
        ledger.queue.renew([before], 600)
        assert ledger.jobs.of_study("s1")[0].lease_until == now.lease_until

    def test_a_trial_is_noted_by_the_worker_that_has_the_job_and_by_no_other(self, ledger: Ledger) -> None:
        queue(ledger)
        for life in range(2):
            before = claim(ledger, f"me/{life}")
            ledger.queue.take_up(f"me/{life + 1}", ())
        now = claim(ledger, "me/2")
        with pytest.raises(LostJobError):
            ledger.queue.note_trial(before)
        ledger.queue.note_trial(now)
        (job,) = ledger.jobs.of_study("s1")
        assert (job.deaths, job.deaths_at_trial, job.state) == (2, 2, JobState.RUNNING)

    def test_a_study_that_was_read_when_its_service_died_comes_first_again_however_often(self, ledger: Ledger) -> None:
        first = queue(ledger, "s1", at=1)
        queue(ledger, "s2", at=2)
        for life in range(7):
            assert claim(ledger, f"me/{life}").id == first
            ledger.queue.take_up(f"me/{life + 1}", ())
        assert state_of(ledger, first) is JobState.QUEUED
        assert ledger.jobs.of_study("s1")[0].deaths == 7
