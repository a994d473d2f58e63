# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.ledger.records import Job, ShadowAnswer
from appliance.ledger.shadows import Pair
from appliance.ledger.states import JobState
from appliance.models.comparison import comparison, comparison_rows, example_words

JOB = Job(1, "study", "1.2.3", "", JobState.DONE, 0.0, 0.0, 0.0, True, "", "")


def answer(probability: float, *lesions: tuple[str, float]) -> dict[str, Any]:
    return {
        "present": probability >= 0.5,
        "probability": probability,
        "lesions": [{"type": kind, "volume_ml": volume_ml} for kind, volume_ml in lesions],
    }


def pair(number: int, answered: dict[str, Any], shadow: dict[str, Any] | None, unread: str = "") -> Pair:
    answered = {**answered, "model": {"version": "1"}}
    job = replace(JOB, id=number, study_uid=f"1.2.{number}", answer=answered)
    return Pair(job, ShadowAnswer(number, "2d" * 32, "2", 0.0, shadow or {}, unread))


def test_studies_lesions_and_volumes_are_counted_and_the_greatest_disagreement_comes_first() -> None:
    pairs = [
        pair(1, answer(0.9, ("iph", 20.0), ("iph", 2.0)), answer(0.8, ("iph", 15.0))),
        pair(2, answer(0.1), answer(0.1)),
        pair(3, answer(0.4), answer(0.7, ("sah", 1.0))),
        pair(4, answer(0.9, ("edh_sdh", 3.0)), answer(0.2)),
        pair(5, answer(0.9), None, unread="the study was deleted"),
    ]
    document = comparison(pairs, examples=2)
    assert document["studies"] == 4
    assert document["answered_by"] == {"1": 4}
    calls = ("both_present", "both_absent", "answered_present_only", "shadow_present_only")
    assert [document[call] for call in calls] == [1, 1, 1, 1]
    assert document["lesions"]["iph"] == {
        "both": 1,
        "answered_only": 1,
        "shadow_only": 0,
        "volume_apart_ml": {"p50": 5.0, "p95": 5.0, "max": 5.0},
    }
    assert document["lesions"]["sah"]["shadow_only"] == 1
    assert document["lesions"]["edh_sdh"]["answered_only"] == 1
    assert document["total_volume_apart_ml"]["max"] == 7.0
    assert document["probability_apart"]["max"] == 0.7
    assert document["unread"] == {"the study was deleted": 1}
    assert [example["study_uid"] for example in document["examples"]] == ["1.2.4", "1.2.3"]
    words = example_words(document["examples"][0])
    assert words == "answered: hemorrhage 0.900 (edh_sdh 3.0 mL); shadow: none found 0.200"


def test_studies_that_agree_are_no_examples_and_nothing_read_is_no_fault() -> None:
    agreed = comparison([pair(1, answer(0.9, ("iph", 2.0)), answer(0.9, ("iph", 2.0)))], examples=5)
    assert agreed["examples"] == []
    nothing = comparison([], examples=5)
    assert nothing["studies"] == 0
    assert nothing["probability_apart"] is None
    assert ("studies that both read", "0") in comparison_rows(nothing)


def test_two_readings_that_differ_by_rounding_agree() -> None:
    rounded = pair(1, answer(0.2102702111, ("iph", 2.0)), answer(0.2102700471, ("iph", 2.0004)))
    apart = pair(2, answer(0.21), answer(0.22))
    assert comparison([rounded], examples=5)["examples"] == []
    document = comparison([rounded, apart], examples=5)
    assert [example["study_uid"] for example in document["examples"]] == ["1.2.2"]
