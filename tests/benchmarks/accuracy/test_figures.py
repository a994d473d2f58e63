# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy import figures
from benchmarks.accuracy.paper import FULL
from benchmarks.accuracy.record import FoundLesion
from tests.benchmarks.accuracy.made_records import paper_like, reading, record


def test_the_papers_test_cohort_has_the_papers_full_set_figures() -> None:
    whole, paper = figures.full_set(paper_like()), FULL["test"]
    for name in ("accuracy", "sensitivity", "specificity", "ppv", "npv"):
        assert getattr(whole, name).value == pytest.approx(paper[name], abs=0.001), name


def test_a_balanced_set_weights_both_halves_alike() -> None:
    found = figures.table_2(paper_like())[None, None]
    assert found.accuracy.value == pytest.approx((78 / 82 + 584 / 600) / 2)
    assert (found.positives, found.negatives) == (82, 600)


def test_a_study_counts_by_the_type_it_is_listed_with_and_by_the_size_of_that_blood() -> None:
    some = [reading(1, "iph", 0.95, 30.0), reading(2, "sah", 0.95, 0.005), reading(3)]
    assert figures.table_1(some)["iph"]["large"] == figures.table_1(some)["sah"]["punctate"] == 1
    assert len(figures.of_stratum(some, (None, None))) == 2


def test_false_alarms_are_told_per_100_studies_without_blood() -> None:
    use = figures.in_use(paper_like())
    assert use["false_alarms_per_100"].value == pytest.approx(100 * 16 / 600)
    assert use["ppv"][0.12].value == pytest.approx(0.829, abs=0.005)
    assert use["missed_over_5_ml"].part == 4


def test_missed_blood_counts_in_dice_and_in_volumes() -> None:
    some = [reading(1, "sah", 0.95, 10.0, 10.0), reading(2, "sah", 0.2, 10.0)]
    assert figures.overlap(some)["sah"]["pooled"].value == pytest.approx(2 * 10 / (10 + 20))
    assert figures.overlap(some)["sah"]["mean"].value == pytest.approx(0.5)
    assert figures.volumes(some, "sah")[1].tolist() == [10.0, 0.0]


def test_held_back_mechanisms_are_told_apart_and_together() -> None:
    some = [reading(1), reading(2, population="new bleeds"), reading(3, "iph", 0.95, population="all new")]
    found = figures.by_population(some)
    assert list(found) == ["realistic", "new bleeds", "all new", "all held back"]
    assert (found["all held back"].positives, found["all held back"].negatives) == (1, 1)


def test_the_free_response_characteristic_counts_lesions_and_false_ones_at_each_threshold() -> None:
    found = figures.free_response([reading(1, "iph", 0.95), reading(2, "iph", 0.3), reading(3, score=0.6)])
    at = found.thresholds.tolist().index(0.5)
    assert (found.hit[at], found.false[at], found.lesions) == (0.5, pytest.approx(1 / 3), 2)
    assert (np.diff(found.hit) <= 0).all()
    assert figures.free_response([reading(3)]) is None


def test_every_misread_study_is_named_with_its_cause_the_largest_miss_first() -> None:
    alarm = (FoundLesion("sah", 2.0, None, 0.95, 0.0, "falx", {"falx_mm": 1.0}),)
    some = [
        reading(1, "sah", 0.2, 3.0, contrast_hu=5.0),
        reading(2, "iph", 0.2, 12.0),
        reading(3, "iph", 0.2, 0.004),
        reading(4, score=0.95, found=alarm),
        reading(5, "iph", 0.95),
    ]
    found = figures.errors(some)
    assert [(one["kind"], one["cause"]) for one in found] == [
        ("missed", "large enough and bright"),
        ("missed", "faint SAH"),
        ("missed", "punctate"),
        ("false alarm", "falx"),
    ]


def test_robustness_compares_the_same_studies_alone() -> None:
    some = [reading(1, "iph", 0.95), reading(2, score=0.1), reading(3, "iph", 0.2)]
    under = {"noise 9 HU": [reading(1, "iph", 0.2, condition="noise 9 HU"), reading(2, condition="noise 9 HU")]}
    (row,) = figures.robustness(some, under)
    assert (row["lost"], row["gained"]) == (1, 0)
    assert (row["drawn"].sensitivity.whole, row["here"].sensitivity.part) == (1, 0)


def test_calibration_groups_are_alike_in_number() -> None:
    found = figures.calibration([reading(i, score=i / 100) for i in range(80)])
    assert [one["bleeding"].whole for one in found["bins"]] == [10] * 8


def test_the_right_type_is_asked_of_the_largest_lesion() -> None:
    wrong = (FoundLesion("sah", 9.0, None, 0.95, 9.0), FoundLesion("iph", 2.0, None, 0.99, 2.0))
    found = figures.lesions([reading(1, "iph", 0.95), figures.Call(record(2, "iph", 0.95, found=wrong), 0.9)])
    assert (found["right_type"].part, found["right_type"].whole) == (1, 2)
