# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with the prior in words."""

from __future__ import annotations

import json

import pytest

from appliance.findings.change import Caveat, Comparison, Doubt, Obstacle, Withheld
from appliance.results.change_words import change_headline, change_sentences
from tests.appliance.results.compared import compared, scan

STAYS = "What was there has not grown by more than 6 mL or a third."


def said(comparison: Comparison, dated: bool = False) -> list[str]:
    """Return the sentences that are made from what the ledger keeps."""
    return change_sentences(json.loads(json.dumps(comparison.facts)), dated)


def test_growth_is_said_with_volumes_hours_and_criterion() -> None:
    grown = compared(scan(iph=30.0), scan(iph=36.1))
    assert said(grown) == [
        "Prior head CT 6.5 h before: hemorrhage found.",
        "IPH 30.0 mL then, 36.1 mL now (+6.1 mL, +20 %).",
        "The hemorrhage has GROWN: IPH by more than 6 mL.",
    ]
    assert change_headline(grown.facts) == "grown: IPH +6.1 mL in 6.5 h"
    assert said(grown, dated=True)[0] == "Prior head CT 6.5 h before (2026-02-28 23:15:00): hemorrhage found."


def test_several_types_are_said_with_their_total() -> None:
    both = compared(scan(iph=30.0), scan(iph=25.0, sah=9.0), hours=240)
    assert said(both) == [
        "Prior head CT 10 days before: hemorrhage found.",
        "IPH 30.0 mL then, 25.0 mL now (-5.0 mL, -17 %); SAH none then, 9.0 mL now; "
        "total 30.0 mL then, 34.0 mL now (+4.0 mL, +13 %).",
        "What was there has not grown by more than 6 mL or a third.",
        "New, not there before: SAH.",
    ]
    assert change_headline(both.facts) == "new SAH, total +4.0 mL in 10 days"


def test_the_headline_names_what_has_grown_and_by_how_much_it_has() -> None:
    shrunk = compared(scan(iph=30.0, sah=5.0), scan(iph=20.0, sah=8.0))
    assert change_headline(shrunk.facts) == "grown: SAH +3.0 mL in 6.5 h"
    moved = compared(scan(iph=30.0), scan(edh_sdh=45.0))
    assert change_headline(moved.facts) == "grown: total +15.0 mL in 6.5 h"
    beside = compared(scan(iph=30.0), scan(iph=40.0, sah=1.0))
    assert change_headline(beside.facts) == "grown: IPH +10.0 mL, new SAH in 6.5 h"
    assert change_headline(compared(scan(iph=0.05), scan(iph=0.08)).facts) == "total +0.0 mL in 6.5 h"


@pytest.mark.parametrize(
    ("comparison", "last", "headline"),
    [
        (compared(scan(), scan(iph=5.0)), "New, not there before: IPH.", "new since 6.5 h"),
        (
            compared(scan(iph=5.0), scan()),
            "What was there has not grown by more than 6 mL or a third.",
            "total -5.0 mL in 6.5 h",
        ),
        (compared(scan(), scan()), "Prior head CT 6.5 h before: no hemorrhage found.", ""),
        (
            compared(scan(partial=True), scan(iph=5.0), hours=24, to_the_day=True),
            "Volumes are not compared, because the answer about the prior CT is about a part of the head.",
            "",
        ),
        (
            compared(scan(iph=5.0, model="bb"), scan(iph=5.0)),
            "Another version of the network read the prior CT, which changes volumes too.",
            "total +0.0 mL in 6.5 h",
        ),
        (
            compared(scan(iph=30.0, edh_sdh=1.0), scan(edh_sdh=31.0)),
            "One type fell while another rose: it may be the same blood, called otherwise.",
            "grown: EDH/SDH +30.0 mL in 6.5 h",
        ),
    ],
)
def test_what_else_there_is_to_say_is_said_last(comparison: Comparison, last: str, headline: str) -> None:
    assert said(comparison)[-1] == last
    assert change_headline(comparison.facts) == headline


def test_every_doubt_caveat_and_obstacle_has_its_words() -> None:
    for doubt in Doubt:
        (sentence,) = change_sentences(Withheld(doubt).facts)
        assert doubt.value not in sentence
        assert sentence.isascii()
    facts = compared(scan(iph=1.0), scan(iph=1.0)).facts
    for caveat in Caveat:
        assert caveat.value not in change_sentences(facts | {"caveats": [caveat.value]})[-1]
    for obstacle in Obstacle:
        told = change_sentences(facts | {"comparable": False, "obstacle": obstacle.value})
        assert not any(obstacle.value in one for one in told)


def test_without_a_prior_nothing_is_said() -> None:
    assert change_sentences({}) == []
    assert change_headline({}) == ""
