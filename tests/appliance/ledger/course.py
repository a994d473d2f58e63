# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What happens to studies and jobs in the ledger, step by step, as its tests let it happen."""

from __future__ import annotations

from appliance.errors import Refusal, RefusalCode
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import (
    Arrival,
    FollowedStudy,
    Job,
    KnownSeries,
    NewJob,
    Origin,
    Position,
    ResultObject,
)
from appliance.ledger.states import JobState

START = Position(7, "NewInstance a 1", 100.0)
GONE = Refusal(RefusalCode.SOURCE_DELETED, "gone")


def arrival(study: str = "s1", at: float = 50.0, live: bool = True) -> Arrival:
    """Return the arrival of a study with one series."""
    series = KnownSeries(f"{study}-series", study, Origin.SOURCE, 3)
    return Arrival(study, f"1.2.{study}", at, at, live, (series,))


def follow(ledger: Ledger, study: str = "s1") -> FollowedStudy:
    """Return a study as the ledger follows it."""
    return next(one for one in ledger.studies.list_followed() if one.id == study)


def queue(ledger: Ledger, study: str = "s1", at: float = 50.0, chosen: str = "c") -> int:
    """Take in a study, decide it and return its job."""
    ledger.feed.notice([arrival(study, at)])
    job = ledger.studies.decide(follow(ledger, study), NewJob(f"set of {study} at {at}", chosen))
    assert job is not None
    return job


def claim(ledger: Ledger, owner: str = "me") -> Job:
    """Claim the next job, which there must be."""
    job = ledger.queue.claim(owner, 60)
    assert job is not None
    return job


def deliver(ledger: Ledger, job: Job, sr: str, series: str = "1.9") -> None:
    """Deliver a job with one result."""
    result = ResultObject(f"instance {sr}", f"series {sr}", "sr", sr)
    ledger.jobs.deliver(job, [result], {"present": True}, (), "c", series)


def finish(ledger: Ledger, sr: str, series: str = "1.9") -> list[int]:
    """Claim, deliver and finish the next job; return what it supersedes."""
    job = claim(ledger)
    deliver(ledger, job, sr, series)
    return ledger.jobs.finish(job, "1.88", sr, {"read": 1.0}, 2.5)


def state_of(ledger: Ledger, job: int, study: str = "s1") -> JobState:
    """Return the state of a job."""
    return next(one.state for one in ledger.jobs.of_study(study) if one.id == job)
