# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Answers whose prior comes later: a real Orthanc and a real ledger, a stand-in network. All patients are invented."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from appliance.clocks import DAY_S
from appliance.errors import UnavailableError
from appliance.findings.change import Doubt
from appliance.ledger import tables
from appliance.ledger.records import OLD, ROUTINE, Job
from appliance.ledger.states import JobState
from appliance.prior.follow_up import FollowUp
from appliance.prior.search import PriorSearch
from appliance.sections.intake import PrioritySettings
from appliance.settings import Settings
from tests.appliance.bench import Bench
from tests.appliance.prior.heads import LARGE, Patient


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The made heads are of the past; here they are news."""
    return settings.model_copy(update={"priority": PrioritySettings(recent_days=36_500)})


@pytest.fixture
def patient(bench: Bench) -> Patient:
    return Patient(bench)


@pytest.fixture
def follow_up(bench: Bench) -> FollowUp:
    desk = bench.desk
    return FollowUp(desk.orthanc, desk.ledger, desk.handover, None, desk.clock)


def now(bench: Bench, job: Job) -> list[Job]:
    """Return the jobs of a job's study as they are now."""
    return bench.desk.jobs(job.study_uid)


def test_a_prior_that_is_answered_later_gives_a_report_that_supersedes_and_says_what_has_changed(
    bench: Bench, patient: Patient, follow_up: FollowUp
) -> None:
    new = patient.scan("20260103", box=LARGE)
    prior = patient.scan("20260102")
    assert new.change == prior.change == {}
    assert follow_up.step() == 2
    bench.detector.box = LARGE
    assert bench.worker.work()
    first, again = now(bench, new)
    assert (first.state, again.state) == (JobState.SUPERSEDED, JobState.DONE)
    assert again.change["prior"]["study_uid"] == prior.study_uid
    assert again.change["grown"]
    assert bench.named_by(again) == new.sr_uid
    assert (again.live, again.priority, again.turnaround_s) == (False, ROUTINE, None)
    # The superseding answer has its prior, and is the prior of none: that is the end of it.
    assert follow_up.step() == 1
    assert follow_up.step() == 0
    assert not bench.worker.work()
    assert now(bench, prior)[-1].id == prior.id


def test_an_answer_that_was_compared_is_not_given_again(bench: Bench, patient: Patient, follow_up: FollowUp) -> None:
    patient.scan("20260102")
    patient.scan("20260103")
    assert follow_up.step() == 2
    assert not bench.worker.work()


def test_a_scan_between_two_others_becomes_the_prior_of_the_later_one(
    bench: Bench, patient: Patient, follow_up: FollowUp
) -> None:
    patient.scan("20260101")
    last = patient.scan("20260105", box=LARGE)
    follow_up.step()
    between = patient.scan("20260103")
    follow_up.step()
    bench.detector.box = LARGE
    bench.worker.work()
    assert now(bench, last)[-1].change["prior"]["study_uid"] == between.study_uid
    assert between.change["prior"]


def test_a_prior_that_comes_later_is_that_of_both_scans_of_the_examination_after_it(
    bench: Bench, patient: Patient, follow_up: FollowUp
) -> None:
    scans = [patient.scan("20260103", hour, LARGE) for hour in ("080000", "080040")]
    follow_up.step()
    prior = patient.scan("20260102")
    follow_up.step()
    bench.detector.box = LARGE
    while bench.worker.work():
        pass
    assert [now(bench, one)[-1].change["prior"]["study_uid"] for one in scans] == [prior.study_uid] * 2
    assert all(now(bench, one)[-1].change["grown"] for one in scans)


def test_a_prior_that_is_answered_again_without_a_change_gives_no_further_report(
    bench: Bench, patient: Patient, follow_up: FollowUp
) -> None:
    second = patient.scan("20260102")
    third = patient.scan("20260103")
    patient.scan("20260101")
    follow_up.step()
    assert bench.worker.work()  # the second, for the first
    assert len(now(bench, second)) == 2
    follow_up.step()
    assert not bench.worker.work()
    assert len(now(bench, third)) == 1


@pytest.mark.parametrize("why", ["no blood", "old answer", "from an archive"])
def test_what_is_no_news_is_kept_in_the_ledger_and_told_to_nobody(
    bench: Bench, patient: Patient, follow_up: FollowUp, why: str
) -> None:
    box = None if why == "no blood" else LARGE
    new = patient.scan("20260103", box=box)
    if why == "old answer":
        bench.desk.clock.now += 8 * DAY_S
    prior = patient.scan("20260102", box=box)
    if why == "from an archive":
        set_priority(bench, new, OLD)
    follow_up.step()
    assert not bench.worker.work()
    (kept,) = now(bench, new)
    assert kept.change["prior"]["study_uid"] == prior.study_uid
    assert kept.sr_uid == new.sr_uid


def test_a_comparison_that_orthanc_was_too_slow_for_is_made_afterwards(
    bench: Bench, patient: Patient, follow_up: FollowUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient.scan("20260102")
    with monkeypatch.context() as patched:
        patched.setattr(PriorSearch, "find", be_away)
        new = patient.scan("20260103", box=LARGE)
        assert new.change == {"withheld": Doubt.NOT_IN_TIME.value}
        patched.setattr(bench.desk.orthanc, "system", be_away)
        with pytest.raises(UnavailableError):
            follow_up.step()
    follow_up.step()
    bench.worker.work()
    assert now(bench, new)[-1].change["grown"]


def test_that_no_prior_was_looked_for_in_time_is_forgotten_once_there_is_none(
    bench: Bench, patient: Patient, follow_up: FollowUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(PriorSearch, "find", be_away)
        new = patient.scan("20260103")
    follow_up.step()
    assert [one.change for one in now(bench, new)] == [{}]


def test_one_study_that_cannot_be_read_keeps_no_other_waiting(
    bench: Bench, patient: Patient, follow_up: FollowUp, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = patient.scan("20260103", box=LARGE)
    patient.scan("20260102")
    monkeypatch.setattr(bench.desk.orthanc, "header", be_away)
    assert follow_up.step() == 2
    assert follow_up.step() == 0
    assert len(now(bench, new)) == 1


def test_a_study_that_is_receiving_again_or_has_gone_is_not_answered_for_its_prior(
    bench: Bench, patient: Patient, follow_up: FollowUp
) -> None:
    new = patient.scan("20260103", box=LARGE)
    ledger = bench.desk.ledger
    bench.desk.send(*patient.files("20260103", study=new.study_uid))
    bench.desk.take_in()
    assert ledger.priors.answer_again(new) is None
    bench.desk.delete_study(new.orthanc_study)
    patient.scan("20260102")
    follow_up.step()
    assert not [job for job in now(bench, new) if job.state is JobState.QUEUED and job.id > new.id]


def set_priority(bench: Bench, job: Job, priority: int) -> None:
    with bench.desk.ledger.priors._database.writing() as connection:
        connection.execute(update(tables.jobs).where(tables.jobs.c.id == job.id).values(priority=priority))


def be_away(*_: object) -> Any:
    raise UnavailableError("HTTP 500")
