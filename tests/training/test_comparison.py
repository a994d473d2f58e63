# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Weights beside one another: areas with intervals, each population apart."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from appliance.reading.contract import MATRIX
from appliance.reading.masks import patch
from tests.training.made_detections import SPACING_MM, detection
from training.comparison import EVERY, RESAMPLES, compare, resample_areas, table
from training.reading import Outcome, Quality


def reading(score: float, blood: int) -> Outcome:
    """Return what was read of a study of one slice with `blood` voxels of IPH and one detection of a score."""
    places = np.arange(blood)
    found = patch(detection(0, [0, 0, 8, 8], [score, 0, 0]), (MATRIX, MATRIX))
    return Outcome([found], 1, SPACING_MM, places, np.ones(blood, np.uint8))


def normal_scores(rng: np.random.Generator, shift: float, studies: int) -> Quality:
    """Return scores of normal distributions `shift` apart, half of the studies with blood."""
    truths = np.repeat([0.0, 900.0], studies // 2)
    return Quality(rng.normal(size=studies) + shift * (truths > 0), truths, {}, 0.5)


def test_each_population_has_a_row_for_every_network_and_all_of_them_together() -> None:
    populations = ["new kernels", "all new", "new kernels", "all new"]
    sure = [reading(0.9, 500), reading(0.8, 500), reading(0.1, 0), reading(0.2, 0)]
    wrong = [reading(0.1, 500), reading(0.8, 500), reading(0.9, 0), reading(0.2, 0)]

    rows = compare({"sure": sure, "wrong": wrong}, populations)

    found = {(row.population, row.weights): row for row in rows}
    assert list(found) == [(p, w) for p in ("new kernels", "all new", EVERY) for w in ("sure", "wrong")]
    assert found["new kernels", "sure"].figures.auc == 1
    assert found["new kernels", "wrong"].figures.auc == 0
    assert found["new kernels", "wrong"].ahead == -1
    assert found["all new", "wrong"].ahead == 0
    assert found[EVERY, "wrong"].figures.auc == pytest.approx(0.25)
    assert len(found[EVERY, "sure"].figures.scores) == 4


def test_heads_of_one_population_have_one_row_a_network() -> None:
    rows = compare({"one": [reading(0.9, 500), reading(0.1, 0)]}, ["realistic", "realistic"])

    assert [(row.population, row.weights) for row in rows] == [("realistic", "one")]
    assert json.loads(json.dumps(rows[0].report()))["auc"] == 1


def test_intervals_are_as_wide_as_areas_scatter() -> None:
    rng = np.random.default_rng(5)
    scatter = np.std([normal_scores(rng, 1.2, 100).auc for _ in range(400)])
    told = np.mean([np.std(resample_areas(normal_scores(rng, 1.2, 100))) for _ in range(10)])

    assert told == pytest.approx(scatter, rel=0.2)


def test_what_two_networks_err_in_together_is_not_between_them() -> None:
    rng = np.random.default_rng(5)
    first = normal_scores(rng, 1.0, 100)
    second = Quality(first.scores + rng.normal(size=100) * 0.1, first.truths, {}, 0.5)
    between = resample_areas(second) - resample_areas(first)

    assert np.std(between) < 0.3 * np.std(resample_areas(first))


def test_a_network_that_is_ahead_has_its_interval_about_what_it_is_ahead_by() -> None:
    rng = np.random.default_rng(6)
    blood = np.repeat([0, 500], 60)
    sure, unsure = (1 / (1 + np.exp(-rng.normal(size=120) - shift * (blood > 0))) for shift in (2.0, 0.6))
    readings = {
        name: [reading(float(score), int(one)) for score, one in zip(scores, blood, strict=True)]
        for name, scores in (("unsure", unsure), ("sure", sure))
    }

    first, second = compare(readings, ["realistic"] * 120)

    assert (first.ahead, first.ahead_interval) == (0, (0, 0))
    assert second.ahead == pytest.approx(second.figures.auc - first.figures.auc)
    low, high = second.ahead_interval
    assert 0 < low < second.ahead < high < 2 * second.ahead
    for row in (first, second):
        low, high = row.auc_interval
        # 95 % of a bell is 1.96 standard deviations to each side.
        assert high - low == pytest.approx(2 * 1.96 * np.std(resample_areas(row.figures)), rel=0.1)


def test_without_blood_there_is_no_area() -> None:
    assert np.isnan(resample_areas(Quality(np.zeros(3), np.zeros(3), {}, 0.5))).sum() == RESAMPLES
    (row,) = compare({"one": [reading(0.9, 0), reading(0.1, 0)]}, ["clear", "clear"])
    assert np.isnan(row.figures.auc)
    assert row.figures.threshold == 0.5
    told = json.loads(json.dumps(row.report(), allow_nan=False))
    assert (told["auc"], told["auc_interval"], told["dice"]["sah"]) == (None, [None, None], None)


def test_the_table_shows_what_lies_between_networks_only_where_there_are_several() -> None:
    one = [reading(0.9, 500), reading(0.1, 0)]
    told = io.StringIO()
    for readings in ({"a.h5": one}, {"a.h5": one, "var/[second]/b.h5": one}):
        Console(file=told, width=110).print(table(compare(readings, ["all new", "all new"])))
    alone, both = told.getvalue().split("Simulated heads alone")[1:]
    assert "ahead" not in alone
    assert "1.00 (1.00 to 1.00)" in alone
    assert "+0.00 (+0.00 to +0.00)" in both
    assert "2: var/[second]/b.h5" in both
