# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from appliance.findings.outcome import Outcome
from appliance.ledger.ledger import Ledger
from appliance.ledger.opinions import (
    AnswerGoneError,
    InvalidOpinionError,
    NewOpinion,
    OtherOpinionError,
)
from appliance.ledger.outcomes import LONGEST_NOTE, Reason, Stance, Standing
from appliance.ledger.records import Job
from tests.appliance.ledger.clock import Clock
from tests.appliance.ledger.course import claim, finish, queue


def answered(ledger: Ledger, study: str = "s1", at: float = 50.0, sr: str = "1.5") -> Job:
    """Let a study be answered with a hemorrhage; return its job."""
    queue(ledger, study, at)
    finish(ledger, sr)
    return ledger.jobs.of_study(study)[-1]


def standing(ledger: Ledger, study: str = "s1") -> Standing:
    found = ledger.board.study(study)
    assert found is not None
    return found.study.standing


AGREE = NewOpinion("anna", Stance.AGREES)


def test_an_opinion_says_who_thought_what_of_which_answer_and_when(ledger: Ledger, clock: Clock) -> None:
    job = answered(ledger)
    clock.now = 77.0
    given = ledger.opinions.give(job.id, NewOpinion("anna", Stance.DISAGREES, Reason.WRONG_TYPE, " SAH,\n not IPH "))
    assert (given.who, given.at, given.stance, given.reason) == ("anna", 77.0, Stance.DISAGREES, Reason.WRONG_TYPE)
    assert (given.note, given.outcome, given.study_uid, given.job) == (
        "SAH, not IPH",
        Outcome.PRESENT,
        "1.2.s1",
        job.id,
    )
    assert list(ledger.opinions.entries()) == [given]
    (entry,) = [one for one in ledger.audit.entries() if one.event == "opinion"]
    assert (entry.who, entry.study_uid) == ("anna", "1.2.s1")
    assert entry.details == {
        "opinion": given.id,
        "job": job.id,
        "answer": "present",
        "stance": "disagrees",
        "reason": "wrong type",
    }
    assert ledger.audit.verify().fault == ""


def test_the_newest_opinion_counts_and_all_of_them_stay(ledger: Ledger) -> None:
    job = answered(ledger)
    first = ledger.opinions.give(job.id, AGREE)
    assert standing(ledger) is Standing.READ
    back = ledger.opinions.give(job.id, NewOpinion("anna", Stance.TAKEN_BACK, seen=first.id))
    assert standing(ledger) is Standing.FOUND
    assert ledger.opinions.counts() == []
    other = NewOpinion("carl", Stance.DISAGREES, Reason.FALSE_ALARM, seen=back.id)
    last = ledger.opinions.give(job.id, other)
    assert standing(ledger) is Standing.READ
    assert ledger.opinions.of_answers([job.answer_key])[job.answer_key] == [first, back, last]
    assert list(ledger.opinions.entries(only_newest=True)) == [last]
    (count,) = ledger.opinions.counts()
    assert (count.outcome, count.stance, count.reason, count.studies) == (
        Outcome.PRESENT,
        Stance.DISAGREES,
        Reason.FALSE_ALARM,
        1,
    )


def test_a_study_that_was_sent_and_judged_three_times_counts_once(ledger: Ledger) -> None:
    for number in range(3):
        job = answered(ledger, at=50.0 + 10 * number, sr=f"1.{number}")
        ledger.opinions.give(job.id, AGREE)
    assert [count.studies for count in ledger.opinions.counts()] == [1]
    assert len(list(ledger.opinions.entries())) == 3
    other = answered(ledger, "s2", sr="1.9")
    ledger.opinions.give(other.id, AGREE)
    assert [count.studies for count in ledger.opinions.counts()] == [2]


def test_the_figures_are_counted_again_when_there_is_a_new_opinion_and_after_a_while(
    ledger: Ledger, clock: Clock
) -> None:
    job = answered(ledger)
    assert ledger.opinions.counts() == []
    ledger.opinions.give(job.id, AGREE)
    assert [count.studies for count in ledger.opinions.counts()] == [1]
    ledger.studies.delete("s1")
    ledger.keeping.prune(clock.now + 1)
    clock.now += 3600
    assert ledger.opinions.counts() == []


def test_a_second_click_adds_nothing(ledger: Ledger) -> None:
    job = answered(ledger)
    first = ledger.opinions.give(job.id, AGREE)
    assert ledger.opinions.give(job.id, AGREE) == first
    assert len(list(ledger.opinions.entries())) == 1


def test_who_has_not_seen_the_opinion_of_another_is_told_of_it(ledger: Ledger) -> None:
    job = answered(ledger)
    ledger.opinions.give(job.id, AGREE)
    with pytest.raises(OtherOpinionError, match="anna"):
        ledger.opinions.give(job.id, NewOpinion("carl", Stance.DISAGREES, Reason.FALSE_ALARM))
    assert len(list(ledger.opinions.entries())) == 1


def test_an_answer_that_takes_anothers_place_is_asked_about_anew(ledger: Ledger) -> None:
    older = answered(ledger)
    ledger.opinions.give(older.id, AGREE)
    newer = answered(ledger, at=90.0, sr="1.6")
    assert standing(ledger) is Standing.FOUND
    with pytest.raises(AnswerGoneError, match="taken its place"):
        ledger.opinions.give(older.id, NewOpinion("carl", Stance.AGREES))
    ledger.opinions.give(newer.id, AGREE)
    assert standing(ledger) is Standing.READ


def test_the_same_answer_given_once_more_keeps_what_was_said_of_it(ledger: Ledger) -> None:
    first = answered(ledger)
    given = ledger.opinions.give(first.id, AGREE)
    again = answered(ledger, at=90.0, sr="1.5")
    assert again.id != first.id
    assert standing(ledger) is Standing.READ
    found = ledger.board.study("s1")
    assert found is not None
    assert found.opinions[again.answer_key] == given


def test_an_answer_without_a_report_is_judged_by_its_number(ledger: Ledger) -> None:
    for study in ("s1", "s2"):
        queue(ledger, study)
        ledger.jobs.refuse(claim(ledger), (), {})
    job = ledger.jobs.of_study("s1")[-1]
    given = ledger.opinions.give(job.id, AGREE)
    assert given.outcome is Outcome.UNREAD
    assert (standing(ledger, "s1"), standing(ledger, "s2")) == (Standing.READ, Standing.UNDECIDED)


@pytest.mark.parametrize(
    ("new", "why"),
    [
        ({"stance": Stance.DISAGREES}, "say why"),
        ({"stance": Stance.DISAGREES, "reason": Reason.READABLE}, "false alarm, wrong type"),
        ({"stance": Stance.AGREES, "reason": Reason.FALSE_ALARM}, "a reason is for who disagrees"),
        ({"stance": Stance.DISAGREES, "reason": Reason.OTHER, "note": " \n "}, "needs a note"),
        ({"stance": Stance.AGREES, "note": "x" * (LONGEST_NOTE + 1)}, "at most 500"),
        ({"stance": Stance.TAKEN_BACK}, "could be taken back"),
    ],
)
def test_an_opinion_that_does_not_fit_is_turned_down_and_leaves_nothing(
    ledger: Ledger, new: dict[str, Any], why: str
) -> None:
    job = answered(ledger)
    with pytest.raises(InvalidOpinionError, match=why):
        ledger.opinions.give(job.id, NewOpinion("anna", **new))
    assert list(ledger.opinions.entries()) == []
    assert standing(ledger) is Standing.FOUND


def test_no_opinion_is_taken_about_what_is_no_answer(ledger: Ledger) -> None:
    job = queue(ledger)
    for number in (job, 4711):
        with pytest.raises(AnswerGoneError):
            ledger.opinions.give(number, AGREE)


def test_of_readers_who_judge_at_the_same_moment_one_is_first_and_the_others_are_told(
    open_ledger: Callable[[], Ledger],
) -> None:
    ledgers = [open_ledger() for _ in range(4)]
    job = answered(ledgers[0])
    outcomes: list[str] = []

    def judge(ledger: Ledger, who: str) -> None:
        try:
            ledger.opinions.give(job.id, NewOpinion(who, Stance.AGREES))
            outcomes.append("taken")
        except OtherOpinionError:
            outcomes.append("told")

    threads = [threading.Thread(target=judge, args=(one, f"reader {n}")) for n, one in enumerate(ledgers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["taken", "told", "told", "told"]
    assert standing(ledgers[0]) is Standing.READ
    assert len(list(ledgers[0].opinions.entries())) == 1


def test_opinions_go_with_the_other_rows_of_a_study_that_left_long_ago(ledger: Ledger, clock: Clock) -> None:
    kept, gone = answered(ledger, "s1"), answered(ledger, "s2", sr="1.6")
    for job in (kept, gone):
        ledger.opinions.give(job.id, AGREE)
    ledger.studies.delete("s2")
    assert ledger.keeping.rows()["opinions"] == 2
    ledger.keeping.prune(clock.now + 1)
    assert [one.orthanc_study for one in ledger.opinions.entries()] == ["s1"]
