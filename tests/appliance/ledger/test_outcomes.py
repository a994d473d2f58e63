# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.findings.outcome import Outcome
from appliance.ledger.outcomes import (
    REASONS,
    SHOWN,
    Reason,
    Standing,
    Standpoint,
    most_urgent,
    standing_of,
)
from appliance.ledger.states import JobState
from tests.appliance.delivery.jobs import job


def of(outcome: Outcome, judged: bool = False, requested: bool = False, number: int = 0) -> Standpoint:
    return Standpoint(outcome, number, requested, judged)


def test_the_board_shows_what_is_found_first_then_what_is_open_then_what_is_clear_and_last_what_was_read() -> None:
    assert SHOWN == (Standing.FOUND, Standing.UNDECIDED, Standing.CLEAR, Standing.READ)
    assert set(SHOWN) == set(Standing) - {Standing.NONE}


@pytest.mark.parametrize(
    ("state", "answer", "outcome"),
    [
        (JobState.DONE, {"present": True, "coverage": {"partial": True}}, Outcome.PRESENT),
        (JobState.DONE, {"present": False, "coverage": {"partial": False}}, Outcome.ABSENT),
        (JobState.DONE, {"present": False}, Outcome.ABSENT),
        (JobState.DONE, {"present": False, "coverage": {"partial": True}}, Outcome.UNDETERMINED),
        (JobState.DONE, {}, Outcome.UNREAD),
        (JobState.REFUSED, {"present": True}, Outcome.UNREAD),
        (JobState.FAILED, {}, Outcome.UNREAD),
        (JobState.FAILED, {"present": False}, Outcome.UNREAD),
        (JobState.SUPERSEDED, {"present": True}, Outcome.PRESENT),
        (JobState.SUPERSEDED, {}, Outcome.UNREAD),
    ],
)
def test_the_outcome_of_a_job_is_what_its_answer_said(
    state: JobState, answer: dict[str, object], outcome: Outcome
) -> None:
    assert job(state=state, answer=answer).outcome is outcome


@pytest.mark.parametrize(
    ("answers", "standing"),
    [
        ([], Standing.NONE),
        ([of(Outcome.PRESENT)], Standing.FOUND),
        ([of(Outcome.UNREAD)], Standing.UNDECIDED),
        ([of(Outcome.UNDETERMINED), of(Outcome.ABSENT)], Standing.UNDECIDED),
        ([of(Outcome.ABSENT)], Standing.CLEAR),
        ([of(Outcome.ABSENT, judged=True)], Standing.READ),
        # Of two acquisitions the bleeding one decides, also about whether the study was read.
        ([of(Outcome.ABSENT, judged=True), of(Outcome.PRESENT)], Standing.FOUND),
        ([of(Outcome.ABSENT), of(Outcome.PRESENT, judged=True)], Standing.READ),
        ([of(Outcome.PRESENT, judged=True), of(Outcome.PRESENT)], Standing.FOUND),
        # A series that somebody asked for and that could not be read leaves the study where it was.
        ([of(Outcome.ABSENT), of(Outcome.UNREAD, requested=True)], Standing.CLEAR),
        ([of(Outcome.UNREAD, requested=True)], Standing.UNDECIDED),
        # A refusal from before the study was read says nothing more; one from after does.
        ([of(Outcome.UNREAD, number=1), of(Outcome.ABSENT, number=2)], Standing.CLEAR),
        ([of(Outcome.UNREAD, number=1), of(Outcome.ABSENT, judged=True, number=2)], Standing.READ),
        ([of(Outcome.ABSENT, number=1), of(Outcome.UNREAD, number=2)], Standing.UNDECIDED),
    ],
)
def test_the_most_urgent_answer_that_nobody_judged_decides_the_group(
    answers: list[Standpoint], standing: Standing
) -> None:
    assert standing_of(answers) is standing


def test_of_two_hemorrhages_the_one_that_nobody_judged_stands_for_the_study_then_the_newest() -> None:
    first, second, third = (of(Outcome.PRESENT, number == 3, number=number) for number in (1, 2, 3))
    assert most_urgent([first, second, third]) is second
    assert most_urgent([of(Outcome.ABSENT, number=4), third]) is third
    assert most_urgent([]) is None


def test_every_outcome_can_be_disagreed_with_and_none_without_a_reason() -> None:
    assert set(REASONS) == set(Outcome)
    assert all(Reason.NONE not in allowed and Reason.OTHER in allowed for allowed in REASONS.values())
    assert {reason for allowed in REASONS.values() for reason in allowed} == set(Reason) - {Reason.NONE}
