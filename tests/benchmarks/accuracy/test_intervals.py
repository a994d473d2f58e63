# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from benchmarks.accuracy.intervals import NOTHING, area, correlation, dice, mean_of_two, predictive_value, share

RNG = np.random.default_rng(3)


def test_a_share_has_wilsons_interval() -> None:
    # Wilson 1927: for 8 of 10 the interval is 0.4902 to 0.9433.
    found = share(8, 10)
    assert (found.value, round(found.low, 4), round(found.high, 4)) == (0.8, 0.4902, 0.9433)


def test_a_share_of_nothing_is_no_figure() -> None:
    assert math.isnan(share(0, 0).value)
    assert share(0, 0).as_json()["value"] is None


def test_the_area_is_scikit_learns_ties_included() -> None:
    told, quiet = np.round(RNG.normal(1, 1, 40), 1), np.round(RNG.normal(0, 1, 70), 1)
    found = area(told, quiet)
    truth = np.r_[np.ones(40), np.zeros(70)]
    assert found.value == pytest.approx(roc_auc_score(truth, np.r_[told, quiet]))
    assert found.low < found.value < found.high


def test_the_interval_of_an_area_covers_what_hanley_and_mcneil_cover() -> None:
    told, quiet = RNG.normal(1.2, 1, 60), RNG.normal(0, 1, 80)
    found = area(told, quiet)
    a = found.value
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    error = math.sqrt((a * (1 - a) + 59 * (q1 - a * a) + 79 * (q2 - a * a)) / (60 * 80))
    assert found.high - found.low == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_predictive_values_of_balanced_sets_are_the_papers() -> None:
    sensitivity, specificity = share(78, 82), share(584, 600)
    assert predictive_value(sensitivity, share(16, 600), 0.5).value == pytest.approx(0.972, abs=0.001)
    assert predictive_value(specificity, share(4, 82), 0.5).value == pytest.approx(0.952, abs=0.001)


def test_a_predictive_value_falls_with_the_prevalence_and_lies_in_its_interval() -> None:
    values = [predictive_value(share(78, 82), share(16, 600), p) for p in (0.12, 0.08, 0.03)]
    assert values[0].value > values[1].value > values[2].value
    assert all(one.low < one.value < one.high for one in values)
    assert predictive_value(share(0, 0), share(16, 600), 0.1) == NOTHING


def test_a_predictive_value_without_a_false_alarm_is_still_uncertain() -> None:
    found = predictive_value(share(20, 20), share(0, 20), 0.08)
    assert found.value == found.high == 1
    assert found.low < 0.5


def test_the_mean_of_two_shares_is_surer_than_either() -> None:
    found = mean_of_two(share(18, 20), share(15, 20))
    assert found.value == pytest.approx(0.825)
    assert found.high - found.low < share(15, 20).high - share(15, 20).low


def test_dice_is_of_all_voxels_together() -> None:
    found = dice(np.array([8.0, 0.0]), np.array([10.0, 2.0]), np.array([8.0, 4.0]))
    assert found.value == pytest.approx(2 * 8 / 24)


def test_r_is_numpys_and_few_studies_have_none() -> None:
    x = RNG.normal(size=30)
    y = x + RNG.normal(size=30)
    assert correlation(x, y).value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert correlation(x[:4], y[:4]) == NOTHING
