# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.ledger.job_rows import LostJobError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import (
    NewJob,
    Origin,
)
from appliance.ledger.states import InvalidTransitionError, JobState
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.course import GONE, claim, deliver, finish, queue, state_of


class TestJobs:
    def test_the_newer_answer_supersedes_the_older(self, ledger: Ledger) -> None:
        first = queue(ledger, at=50, chosen="short")
        assert finish(ledger, "1.100") == []
        queue(ledger, at=60, chosen="long")
        assert finish(ledger, "1.200") == [first]
        assert state_of(ledger, first) is JobState.SUPERSEDED

    def test_the_same_answer_again_supersedes_nothing(self, ledger: Ledger) -> None:
        queue(ledger, at=50)
        finish(ledger, "1.100")
        ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="s1-series"))
        assert finish(ledger, "1.100") == []

    def test_an_asked_for_answer_supersedes_only_one_about_the_same_series(self, ledger: Ledger) -> None:
        about_study = queue(ledger, at=50)
        finish(ledger, "1.100", series="soft")
        ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="thin"))
        assert finish(ledger, "1.200", series="thin") == []
        ledger.queue.request("s1", "1.2.s1", NewJob("", "", series="soft"))
        assert finish(ledger, "1.300", series="soft") == [about_study]

    def test_our_own_results_are_known_before_they_are_stored(self, ledger: Ledger) -> None:
        queue(ledger)
        job = claim(ledger)
        deliver(ledger, job, "1.100")
        assert ledger.series.find_known(["series 1.100"])["series 1.100"].origin is Origin.OWN
        assert [result.sop_instance_uid for result in ledger.jobs.results(job.id)] == ["1.100"]

    def test_a_worker_that_lost_its_job_cannot_record_anything_about_it(self, ledger: Ledger, clock: Clock) -> None:
        queue(ledger)
        lost = claim(ledger, "slow")
        clock.now += 61
        ledger.queue.take_up("quick", ())
        with pytest.raises(LostJobError):
            ledger.queue.postpone(lost, "late", 0.0)
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
        ledger.queue.postpone(before, "Triton is away", 0.0)
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
            getattr(ledger.queue if do == "postpone" else ledger.jobs, do)(before, *arguments[do])
        ledger.jobs.confirm(now)
        assert state_of(ledger, now.id) is (JobState.DELIVERING if do == "finish" else JobState.RUNNING)

    def test_what_the_state_does_not_allow_raises_and_changes_nothing(self, ledger: Ledger) -> None:
        queue(ledger)
        job = claim(ledger)
        with pytest.raises(InvalidTransitionError):
            ledger.jobs.finish(job, "1.88", "1.100", {}, None)
        assert state_of(ledger, job.id) is JobState.RUNNING
