# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What has changed between two head CTs: growth, its criterion, and when nothing can be compared."""

from __future__ import annotations

import json
from typing import Any

import pytest

from appliance.findings.change import (
    TOTAL,
    Caveat,
    Change,
    Comparison,
    Criterion,
    Growth,
    HeadScan,
    Obstacle,
    PriorScan,
    compare,
)


def scan(
    partial: bool = False, model: str = "aa", threshold: float = 0.5, flaw: str = "", **volumes: float
) -> HeadScan:
    """Return a scan with these volumes by type, mL."""
    answer: dict[str, Any] = {
        "present": bool(volumes),
        "lesions": [{"type": kind, "volume_ml": ml} for kind, ml in volumes.items()],
        "coverage": {"partial": partial},
        "model": {"sha256": model},
        "threshold": threshold,
        "extend_score": 0.2,
        "flaws": [{"code": flaw}] if flaw else [],
    }
    return HeadScan.of_answer(answer)


def growth(then: HeadScan, now: HeadScan) -> dict[str, str]:
    return {one.what: one.criterion.value for one in compare(then, now).growth}


@pytest.mark.parametrize(
    ("then", "now", "by"),
    [
        (scan(iph=30.0), scan(iph=36.1), Criterion.MILLILITRES),
        (scan(iph=30.0), scan(iph=36.0), None),  # more than 6, not 6
        (scan(iph=3.0), scan(iph=4.1), Criterion.SHARE),
        (scan(iph=3.0), scan(iph=4.0), None),  # more than a third
        (scan(iph=30.0), scan(iph=12.0), None),
        (scan(iph=0.5), scan(iph=1.4), None),  # a third of some pixels
        (scan(iph=0.5), scan(iph=1.6), Criterion.SHARE),
        (scan(), scan(iph=20.0), None),  # new is not grown
        (scan(), scan(), None),
    ],
)
def test_growth_is_more_than_six_millilitres_or_a_third_of_what_was_there(
    then: HeadScan, now: HeadScan, by: Criterion | None
) -> None:
    change = compare(then, now)
    assert change.grown is (by is not None)
    assert growth(then, now) == ({} if by is None else {"iph": by.value, TOTAL: by.value})


def test_one_type_that_shrinks_hides_no_other_that_grows() -> None:
    assert growth(scan(iph=30.0, sah=5.0), scan(iph=20.0, sah=7.0)) == {"sah": Criterion.SHARE.value}


def test_blood_that_is_called_another_type_now_grows_by_its_total_alone() -> None:
    change = compare(scan(iph=30.0), scan(edh_sdh=45.0))
    assert change.growth == (Growth(TOTAL, Criterion.MILLILITRES),)
    assert change.difference_ml(TOTAL) == 15.0
    assert change.percent("edh_sdh") is None
    assert change.percent("iph") == -100.0


def test_one_type_that_fell_while_another_rose_is_told_as_perhaps_the_same_blood() -> None:
    same = compare(scan(iph=30.0, edh_sdh=2.0), scan(edh_sdh=31.0))
    assert Caveat.MAYBE_RENAMED in same.caveats
    assert same.grown  # it is not hidden, in case it is not the same
    for then, now in (
        (scan(iph=30.0), scan(iph=40.0)),
        (scan(iph=30.0, edh_sdh=20.0), scan(iph=29.5, edh_sdh=30.0)),
        (scan(iph=30.0), scan()),
    ):
        assert Caveat.MAYBE_RENAMED not in compare(then, now).caveats


def test_a_new_type_beside_blood_that_stays_is_new_and_not_growth_of_the_total() -> None:
    change = compare(scan(iph=30.0), scan(iph=30.0, edh_sdh=7.0))
    assert not change.grown
    assert change.new == ("edh_sdh",)
    assert change.facts["new"] == ["edh_sdh"]
    assert compare(scan(iph=30.0), scan(iph=25.0)).new == ()


def test_types_that_each_grow_by_less_may_have_grown_together() -> None:
    change = compare(scan(iph=30.0, sah=20.0), scan(iph=33.5, sah=23.5))
    assert change.growth == (Growth(TOTAL, Criterion.MILLILITRES),)


@pytest.mark.parametrize(("flaw", "told"), [("motion", True), ("metal", True), ("cut_off", True), ("kernel", False)])
def test_a_flaw_of_either_scan_that_changes_volumes_is_a_caveat(flaw: str, told: bool) -> None:
    for then, now in ((scan(iph=3.0, flaw=flaw), scan(iph=3.0)), (scan(iph=3.0), scan(iph=3.0, flaw=flaw))):
        assert (Caveat.FLAWED in compare(then, now).caveats) is told


def test_a_type_that_this_version_does_not_know_is_left_out() -> None:
    odd = HeadScan.of_answer(
        {"present": True, "lesions": [{"type": "ivh", "volume_ml": 3}, {"type": "iph", "volume_ml": 2}]}
    )
    assert odd.volumes_ml == {"iph": 2.0, "edh_sdh": 0.0, "sah": 0.0}


def test_the_last_digits_of_the_new_volumes_make_no_other_answer_and_the_priors_do() -> None:
    def identity(then: float, now: float, report: str = "1.2.4") -> Any:
        prior = PriorScan("1.2.3", "1.2", report, 3, "present", "2026-01-02T08:00:00")
        return Comparison(prior, 6.5, False, compare(scan(iph=then), scan(iph=now))).identity

    assert identity(9.0, 12.0) == identity(9.0, 12.0000001) == identity(9.0, 11.9999999)
    assert identity(9.0, 12.0) != identity(9.5, 12.0)
    assert identity(9.0, 12.0) != identity(9.0, 12.0, "1.2.5")


def test_a_comparison_is_read_back_from_its_facts() -> None:
    prior = PriorScan("1.2.3", "1.2", "1.2.4", 3, "present", "2026-01-02T08:00:00")
    now = scan(iph=40.0)
    made = Comparison(prior, 6.5, False, compare(scan(iph=30.0, flaw="metal"), now))
    assert Comparison.of_facts(json.loads(json.dumps(made.facts)), now) == made


@pytest.mark.parametrize(
    ("then_part", "now_part", "obstacle"),
    [(True, False, Obstacle.PRIOR_PART), (False, True, Obstacle.NEW_PART), (True, True, Obstacle.BOTH_PARTS)],
)
def test_a_part_of_a_head_is_compared_with_nothing(then_part: bool, now_part: bool, obstacle: Obstacle) -> None:
    change = compare(scan(then_part, iph=10.0), scan(now_part, iph=90.0))
    assert (change.obstacle, change.grown, change.difference_ml("iph")) == (obstacle, False, 0.0)
    assert change.percent("iph") is None
    assert not change.facts["comparable"]


def test_another_model_or_threshold_then_is_said_and_compared_nevertheless() -> None:
    assert compare(scan(iph=10.0), scan(iph=20.0)).caveats == ()
    other = compare(scan(iph=10.0, model="bb", threshold=0.4), scan(iph=20.0))
    assert other.caveats == (Caveat.OTHER_MODEL, Caveat.OTHER_CRITERIA)
    assert other.grown
    assert compare(scan(iph=10.0, model=""), scan(iph=20.0)).caveats == ()  # an old answer that does not say


def test_the_facts_are_plain_json_and_the_identity_leaves_out_the_number_in_the_ledger() -> None:
    def compared(job: int) -> Comparison:
        prior = PriorScan("1.2.3", "1.2", "1.2.4", job, "present", "2026-01-02T08:00:00")
        return Comparison(prior, 6.5, False, compare(scan(iph=30.0), scan(iph=40.0, sah=1.0)))

    facts = json.loads(json.dumps(compared(7).facts))
    assert facts["prior"]["job"] == 7
    assert facts["difference_ml"] == {"iph": 10.0, "edh_sdh": 0.0, "sah": 1.0, "total": 11.0}
    assert facts["grown_by"] == [
        {"what": "iph", "criterion": "more_than_6_ml"},
        {"what": "total", "criterion": "more_than_6_ml"},
    ]
    assert compared(7).identity == compared(8).identity
    assert compared(7).facts != compared(8).facts


def test_an_answer_of_an_older_version_can_be_compared_with() -> None:
    old = HeadScan.of_answer({"present": True, "lesions": [{"type": "iph", "volume_ml": 3}]})
    assert compare(old, scan(iph=10.0)) == Change(
        {"iph": 3.0, "edh_sdh": 0.0, "sah": 0.0}, {"iph": 10.0, "edh_sdh": 0.0, "sah": 0.0}
    )
