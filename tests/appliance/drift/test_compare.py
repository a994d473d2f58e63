# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import fisher_exact, ks_2samp

from appliance.drift.compare import FALSE_ALARMS, LEAST_STUDIES, WINDOW, changed_at, compare
from appliance.drift.features import FEATURES
from tests.appliance.drift.months import changed, month


def test_months_of_one_population_stay_quiet() -> None:
    loud = [
        one.feature.name
        for seed in range(100)
        for one in compare(month(2 * seed, 300), month(2 * seed + 1, WINDOW))
        if one.differs
    ]
    assert not loud  # at most 0.1 are expected


def test_too_few_studies_on_either_side_compare_nothing() -> None:
    assert compare(month(1, 300), month(2, LEAST_STUDIES - 1)) == ()
    assert compare(month(1, LEAST_STUDIES - 1), month(2, 300)) == ()
    assert len(compare(month(1, 300), month(2, LEAST_STUDIES))) >= len(FEATURES) - 4  # volumes of few bleeds aside


def test_the_distance_of_numbers_is_that_of_kolmogorov_and_smirnov_and_its_limit_is_as_rare_as_it_should_be() -> None:
    before, after = month(3, 300), changed(month(4, 200), lambda row: {"brain_hu": float(row["brain_hu"]) + 0.9})
    (one,) = (found for found in compare(before, after) if found.feature.name == "brain_hu")
    sides = [[float(row["brain_hu"]) for row in rows] for rows in (before, after)]
    assert one.distance == pytest.approx(ks_2samp(*sides).statistic)
    count = 300 * 200 / 500
    assert 2 * np.exp(-2 * count * one.limit**2) == pytest.approx(FALSE_ALARMS / len(FEATURES), rel=0.01)


@pytest.mark.parametrize("positive", [20, 45, 80])
def test_the_limit_of_a_share_lies_where_fishers_exact_test_says(positive: int) -> None:
    before = changed(month(5, 300), lambda row: {"kvp": "120"})
    for number in range(positive):
        before[number]["kvp"] = "100"
    chance = FALSE_ALARMS / len(FEATURES) / 2
    for found in range(201):
        after = changed(month(6, 200), lambda row: {"kvp": "120"})
        for number in range(found):
            after[number]["kvp"] = "100"
        (one,) = (each for each in compare(before, after) if each.feature.name == "kvp")
        side = "greater" if found / 200 >= positive / 300 else "less"
        exact = fisher_exact([[found, 200 - found], [positive, 300 - positive]], alternative=side).pvalue
        assert one.differs == (exact <= chance / 2), (found, exact)


def test_a_word_that_the_reference_does_not_know_is_named_with_its_share() -> None:
    after = month(8, 200)
    for row in after[:40]:
        row["kernel"] = "Xr99"
    (one,) = (found for found in compare(month(7, 300), after) if found.feature.name == "kernel")
    assert one.differs
    assert (one.word, one.was, one.now) == ("Xr99", "Xr99 0%", "Xr99 20%")


@pytest.mark.parametrize("word", ["", "new"])
def test_a_change_in_the_middle_is_found_where_it_is_and_none_where_there_is_none(word: str) -> None:
    random = np.random.default_rng(1)
    values = [float(one) for one in random.normal(30, 2, 400)]
    told: list[float | str] = list(values)
    if word:
        told = ["new" if one > 33 else "old" for one in values]
    assert changed_at(told, word) is None
    told[250:] = ["new" if index % 2 else "old" for index in range(150)] if word else [v + 4 for v in values[250:]]
    found = changed_at(told, word)
    assert found is not None
    assert abs(found - 250) <= 10


def test_values_that_are_all_alike_have_no_change() -> None:
    assert changed_at([5.0] * 100, "") is None
    assert changed_at(["120"] * 100, "120") is None
    assert changed_at([], "") is None
