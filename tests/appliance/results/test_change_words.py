# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The comparison with the prior in words."""

from __future__ import annotations

import json

import pytest

from appliance.findings.change import Caveat, Comparison, Doubt, Obstacle, Withheld
from appliance.results.change_words import change_headline, change_sentences
from tests.appliance.results.compared import compared, scan


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
    assert change_headline(grown.facts) == "grown: total +6.1 mL in 6.5 h"
    assert said(grown, dated=True)[0] == "Prior head CT 6.5 h before (2026-02-28 23:15:00): hemorrhage found."


def test_several_types_are_said_with_their_total() -> None:
    both = compared(scan(iph=30.0), scan(iph=25.0, sah=9.0), hours=240)
    assert said(both) == [
        "Prior head CT 10 days before: hemorrhage found.",
        "IPH 30.0 mL then, 25.0 mL now (-5.0 mL, -17 %); SAH none then, 9.0 mL now; "
        "total 30.0 mL then, 34.0 mL now (+4.0 mL, +13 %).",
        "Not grown by more than 6 mL or a third.",
    ]


@pytest.mark.parametrize(
    ("comparison", "last", "headline"),
    [
        (compared(scan(), scan(iph=5.0)), "New, not there before.", "new since 6.5 h"),
        (compared(scan(iph=5.0), scan()), "Not grown by more than 6 mL or a third.", "total -5.0 mL in 6.5 h"),
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
            "One type fell by about what another rose: it may be the same blood, called otherwise.",
            "grown: total +0.0 mL in 6.5 h",
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
