# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A short day on real parts, and what would be said of a day on which something went wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.hospital_day.__main__ import hold_day
from tests.hospital_day.audit import ALL, Seen, alert_faults, faults, order_faults
from tests.hospital_day.reading import Waiting, compare, drawn_days, stretch, waits
from tests.hospital_day.result import markdown, table
from tests.hospital_day.studies import plan_day

BLEED, PLAIN = "1.1", "1.2"


@pytest.mark.end_to_end
def test_a_short_day_loses_and_doubles_nothing_and_tells_of_hemorrhages_first(tmp_path: Path) -> None:
    asked = {"studies": 6, "minutes": 0.5, "positives": 2, "priors": 1, "seed": 1, "pacs_down": 0.2}
    asked |= {"read_minutes": 9.0, "day_hours": 1.0, "slices": 20}
    console = Console(stderr=True, quiet=True)
    seen = hold_day(asked, tmp_path / "day", tmp_path / "heads", console, healthy_heads=2)
    assert seen["faults"] == []
    assert (seen["studies"], seen["priors"]) == (6, 1)
    assert seen["answers"]["hemorrhage found in"] == 2
    # A PACS that went away did so in earnest, and Prometheus was there.
    assert seen["retried"] > 0
    assert seen["worst_late_share"] is not None
    waited = seen["reading"]["waits_min"]
    assert waited["by answer"]["hemorrhage"]["mean"] <= waited["by arrival"]["hemorrhage"]["mean"]
    assert table(seen).row_count == markdown(seen).count("\n| ") - 1


def day() -> Seen:
    """A day on which all went well: one hemorrhage and one routine study."""
    records = {BLEED: {"state": "done", "present": True}, PLAIN: {"state": "done", "present": False}}
    objects = [(f"{BLEED}.{number}", BLEED, number) for number in ALL] + [(f"{PLAIN}.1", PLAIN, ALL[0])]
    messages = [
        {"control": "A", "study": BLEED, "answer": "present"},
        {"control": "B", "study": PLAIN, "answer": "absent"},
    ]
    outbox = [
        {"id": number, "destination": to, "state": "delivered", "error": ""}
        for number, to in enumerate(("pacs", "ris", "mail", "pacs", "ris"))
    ]
    return Seen(records, objects, messages, {"<a@b>": 1}, outbox)


def test_nothing_is_found_on_a_day_on_which_all_went_well() -> None:
    assert faults([BLEED, PLAIN], day()) == []
    assert order_faults(day(), [BLEED, PLAIN]) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda one: replace(one, at_pacs=one.at_pacs[1:]), "not ['9001', '9002', '9003', '9004']"),
        (lambda one: replace(one, at_pacs=[*one.at_pacs, one.at_pacs[0]]), "came to the PACS 2 times"),
        (lambda one: replace(one, at_pacs=[*one.at_pacs, ("9.9", "9", "9001")]), "which nobody sent"),
        (lambda one: replace(one, at_pacs=[*one.at_pacs, ("1.2.2", PLAIN, "9002")]), "not ['9001']"),
        (lambda one: replace(one, at_ris=one.at_ris[:1]), "was told to the RIS 0 times"),
        (lambda one: replace(one, at_ris=[*one.at_ris, one.at_ris[0]]), "came to the RIS 2 times"),
        (lambda one: replace(one, at_ris=[{**one.at_ris[0], "answer": "absent"}, one.at_ris[1]]), "does not say"),
        (lambda one: replace(one, mails={}), "0 mails came about 1 hemorrhages"),
        (lambda one: replace(one, mails={"<a@b>": 2}), "came 2 times"),
        (lambda one: replace(one, records={BLEED: one.records[BLEED]}), "is not known in the end"),
        (lambda one: replace(one, records={**one.records, PLAIN: {"state": "refused"}}), "is refused in the end"),
        (lambda one: replace(one, outbox=one.outbox[1:]), "holds 4 deliveries, not 5"),
        (lambda one: replace(one, outbox=[{**one.outbox[0], "state": "waiting"}, *one.outbox[1:]]), "is waiting"),
    ],
)
def test_whatever_was_lost_or_doubled_is_found(change: Callable[[Seen], Seen], said: str) -> None:
    assert any(said in one for one in faults([BLEED, PLAIN], change(copy.deepcopy(day()))))


def test_what_the_pacs_had_not_confirmed_when_it_went_away_may_come_once_more_and_no_oftener() -> None:
    again = replace(day(), at_pacs=[*day().at_pacs, day().at_pacs[0]], unconfirmed=frozenset({f"{BLEED}.9001"}))
    assert faults([BLEED, PLAIN], again) == []
    twice = replace(again, at_pacs=[*again.at_pacs, again.at_pacs[0]])
    assert len(faults([BLEED, PLAIN], twice)) == 1


def test_a_hemorrhage_that_came_after_a_routine_study_is_found_if_both_waited() -> None:
    turned = replace(day(), at_pacs=[*reversed(day().at_pacs)])
    assert len(order_faults(turned, [BLEED, PLAIN])) == 1
    assert order_faults(turned, [BLEED]) == []


def test_an_alert_of_the_objective_needs_a_study_that_was_late() -> None:
    fired: dict[str, Any] = {"Late": ["firing"], "Other": ["firing"]}
    assert len(alert_faults(fired, 0, ["Late"])) == 1
    assert alert_faults(fired, 1, ["Late"]) == []
    assert alert_faults({"Late": ["pending"]}, 0, ["Late"]) == []


def test_a_radiologist_reads_by_arrival_or_the_flagged_first_and_interrupts_no_reading() -> None:
    list_ = [
        Waiting(0.0, 0.5, False, False),
        Waiting(1.0, 1.5, False, False),
        Waiting(2.0, 2.5, True, True),
        Waiting(3.0, 30.0, True, True),  # its answer comes too late to help it
    ]
    assert waits(list_, 10, reordered=False) == [0, 9, 18, 27]
    assert waits(list_, 10, reordered=True) == [0, 19, 8, 27]
    seen = compare(list_, 10)
    assert seen["by arrival"]["hemorrhage"] == {"mean": 22.5, "median": 22.5, "worst": 27}
    assert seen["by answer"]["hemorrhage"] == {"mean": 17.5, "median": 17.5, "worst": 27}
    assert seen["by answer"]["others"] == {"mean": 9.5, "median": 9.5, "worst": 19}


def test_a_day_is_stretched_between_arrivals_and_not_within_answers() -> None:
    (one,) = stretch([Waiting(2.0, 2.5, True, True)], 60)
    assert (one.arrived, one.told) == (120.0, 120.5)


def test_drawn_days_follow_from_their_seed_and_gain_by_the_order() -> None:
    list_ = [Waiting(0.0, 0.1, number < 3, number < 3) for number in range(20)]
    drawn = drawn_days(list_, 180, 9, 50, 1)
    assert drawn == drawn_days(list_, 180, 9, 50, 1)
    by_arrival, by_answer = drawn["by arrival"], drawn["by answer"]
    assert by_arrival is not None
    assert by_answer is not None
    assert by_answer["mean"] < by_arrival["mean"]


def test_the_same_seed_plans_the_same_day_with_priors_of_its_patients() -> None:
    planned = plan_day(60, 7, 2, 10, 1, 32)
    assert planned == plan_day(60, 7, 2, 10, 1, 32) != plan_day(60, 7, 2, 10, 2, 32)
    priors, today = planned[:2], planned[2:]
    assert (len(today), sum(one.bleeds for one in today)) == (60, 7)
    assert {one.scanner for one in today} == {"CT1", "CT2"}
    patients = {one.patient: one for one in today}
    for prior in priors:
        assert prior.number < 0
        now, then = patients[prior.patient].head, prior.head
        assert (now.seed, now.diagnosis) == (then.seed, then.diagnosis)
        assert (then.volume_ml or 0) < (now.volume_ml or 0)
