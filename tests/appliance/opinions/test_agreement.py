# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from appliance.findings.outcome import Outcome
from appliance.ledger.opinions import Count
from appliance.ledger.outcomes import Reason, Stance
from appliance.opinions.agreement import Agreement, Share, agreements
from appliance.reading.proportion import wilson_interval


def test_a_share_has_wilsons_interval() -> None:
    assert Share(8, 10).interval == wilson_interval(8, 10)
    assert Share(10, 10).words == "100 % (10 of 10; 95 % interval 72 to 100 %)"


def test_a_share_of_nothing_is_no_number_and_says_so() -> None:
    assert math.isnan(Share(0, 0).value)
    assert all(map(math.isnan, Share(0, 0).interval))
    assert Share(0, 0).words == "none judged yet"
    assert Share(18, 20).words == "90 % (18 of 20; 95 % interval 70 to 97 %)"


@pytest.mark.parametrize(
    ("part", "whole", "said"),
    [(199, 200, "99.5 %"), (999, 1000, "99.9 %"), (9999, 10_000, "99.99 %"), (1, 1000, "0.1 %"), (7, 7, "100 %")],
)
def test_only_all_of_it_reads_a_hundred_percent(part: int, whole: int, said: str) -> None:
    assert Share(part, whole).words.startswith(f"{said} (")


def count(outcome: Outcome, stance: Stance, reason: Reason = Reason.NONE, studies: int = 1, model: str = "3") -> Count:
    return Count(model, model * 64, outcome, stance, reason, studies)


def test_an_answer_is_a_true_positive_unless_there_was_no_hemorrhage_at_all() -> None:
    (said,) = agreements(
        [
            count(Outcome.PRESENT, Stance.AGREES, studies=10),
            count(Outcome.PRESENT, Stance.DISAGREES, Reason.WRONG_TYPE, 3),
            count(Outcome.PRESENT, Stance.DISAGREES, Reason.WRONG_EXTENT, 2),
            count(Outcome.PRESENT, Stance.DISAGREES, Reason.MISSED_BLEED),
            count(Outcome.PRESENT, Stance.DISAGREES, Reason.FALSE_ALARM, 4),
            count(Outcome.PRESENT, Stance.DISAGREES, Reason.OTHER, 7),
        ]
    )
    assert said.positive_predictive_value == Share(16, 20)
    assert (said.unclear, said.judged) == (7, 27)


def test_a_bleed_that_was_missed_counts_against_every_answer_without_one() -> None:
    (said,) = agreements(
        [
            count(Outcome.PRESENT, Stance.AGREES, studies=8),
            count(Outcome.ABSENT, Stance.AGREES, studies=30),
            count(Outcome.ABSENT, Stance.DISAGREES, Reason.MISSED_BLEED),
            count(Outcome.UNDETERMINED, Stance.DISAGREES, Reason.MISSED_BLEED),
            count(Outcome.UNDETERMINED, Stance.DISAGREES, Reason.READABLE),
        ]
    )
    assert said.clear_confirmed == Share(30, 32)
    assert said.found_of_judged == Share(8, 10)
    assert said.unclear == 1


def test_that_a_study_could_not_be_read_says_nothing_of_a_hemorrhage() -> None:
    (said,) = agreements([count(Outcome.UNREAD, Stance.AGREES, model="")])
    assert said == Agreement("", "", unclear=1)


def test_networks_are_counted_apart_the_most_judged_first() -> None:
    said = agreements(
        [
            count(Outcome.PRESENT, Stance.AGREES, model="2"),
            count(Outcome.PRESENT, Stance.AGREES, model="3", studies=5),
        ]
    )
    assert [(one.model, one.positive_predictive_value.whole) for one in said] == [("3", 5), ("2", 1)]
