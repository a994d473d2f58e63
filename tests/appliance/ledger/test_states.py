# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.ledger.states import (
    OPEN,
    InvalidTransitionError,
    JobEvent,
    JobState,
    StudyEvent,
    StudyState,
    job_after,
    states_that,
    study_after,
)

ENDED = {JobState.DONE, JobState.REFUSED}
"""All that can still happen to these is that a later answer takes their place."""
FINAL = {JobState.SUPERSEDED, JobState.FAILED, JobState.WITHDRAWN}


def test_a_job_goes_from_the_queue_to_done() -> None:
    state = JobState.QUEUED
    for event in (JobEvent.CLAIM, JobEvent.DELIVER, JobEvent.FINISH):
        state = job_after(state, event)
    assert state is JobState.DONE


def test_nothing_happens_any_more_to_a_job_that_has_ended() -> None:
    for state in FINAL:
        for event in JobEvent:
            with pytest.raises(InvalidTransitionError, match=state.value):
                job_after(state, event)


def test_all_a_done_or_refused_job_can_become_is_superseded() -> None:
    for state in ENDED:
        assert [event for event in JobEvent if state in states_that(event)] == [JobEvent.SUPERSEDE]


def test_every_open_job_has_a_way_to_done_and_every_job_is_open_done_or_ended() -> None:
    reaches = {JobState.DONE}
    for _ in JobState:
        reaches |= {state for event in JobEvent for state in states_that(event) if job_after(state, event) in reaches}
    assert reaches - {JobState.DONE} == set(OPEN)
    assert set(OPEN) | FINAL | ENDED == set(JobState)


def test_results_are_never_stored_for_a_job_that_no_worker_has() -> None:
    assert states_that(JobEvent.DELIVER) == (JobState.RUNNING, JobState.DELIVERING)
    assert states_that(JobEvent.FINISH) == (JobState.DELIVERING,)


def test_a_study_is_followed_again_whenever_something_comes() -> None:
    for state in StudyState:
        assert study_after(state, StudyEvent.ARRIVE) is StudyState.RECEIVING


def test_a_study_that_is_decided_or_deleted_cannot_be_decided_again() -> None:
    for state in (StudyState.DECIDED, StudyState.DELETED):
        with pytest.raises(InvalidTransitionError):
            study_after(state, StudyEvent.DECIDE)
