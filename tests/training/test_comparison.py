# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Weights beside one another: areas with intervals, each population apart."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from tests.training.made_detections import SPACING_MM, detection
from training.comparison import EVERY, RESAMPLES, compared, resampled_areas, table
from training.reading import Quality, Reading

RNG = np.random.default_rng(5)


def reading(score: float, blood: int) -> Reading:
    """Return what was read of a study of one slice with `blood` voxels of IPH and one detection of a score."""
    places = np.arange(blood)
    return Reading([detection(0, [0, 0, 8, 8], [score, 0, 0])], 1, SPACING_MM, places, np.ones(blood, np.uint8))


def normal_areas(shift: float, studies: int) -> Quality:
    """Return scores of normal distributions `shift` apart, half of the studies with blood."""
    truths = np.repeat([0.0, 900.0], studies // 2)
    return Quality(RNG.normal(size=studies) + shift * (truths > 0), truths, {}, 0.5)


def test_each_population_has_a_row_for_every_network_and_all_of_them_together() -> None:
    populations = ["new kernels", "all new", "new kernels", "all new"]
    sure = [reading(0.9, 500), reading(0.8, 500), reading(0.1, 0), reading(0.2, 0)]
    wrong = [reading(0.1, 500), reading(0.8, 500), reading(0.9, 0), reading(0.2, 0)]

    rows = compared({"sure": sure, "wrong": wrong}, populations)

    found = {(row.population, row.weights): row for row in rows}
    assert list(found) == [(p, w) for p in ("new kernels", "all new", EVERY) for w in ("sure", "wrong")]
    assert found["new kernels", "sure"].figures.auc == 1
    assert found["new kernels", "wrong"].figures.auc == 0
    assert found["new kernels", "wrong"].ahead == -1
    assert found["all new", "wrong"].ahead == 0
    assert found[EVERY, "wrong"].figures.auc == pytest.approx(0.25)
    assert len(found[EVERY, "sure"].figures.scores) == 4


def test_heads_of_one_population_have_one_row_a_network() -> None:
    rows = compared({"one": [reading(0.9, 500), reading(0.1, 0)]}, ["realistic", "realistic"])

    assert [(row.population, row.weights) for row in rows] == [("realistic", "one")]
    assert json.loads(json.dumps(rows[0].report()))["auc"] == 1


def test_intervals_are_as_wide_as_areas_scatter() -> None:
    scatter = np.std([normal_areas(1.2, 100).auc for _ in range(400)])
    told = np.mean([np.std(resampled_areas(normal_areas(1.2, 100))) for _ in range(10)])

    assert told == pytest.approx(scatter, rel=0.2)


def test_what_two_networks_err_in_together_is_not_between_them() -> None:
    first = normal_areas(1.0, 100)
    second = Quality(first.scores + RNG.normal(size=100) * 0.1, first.truths, {}, 0.5)
    between = resampled_areas(second) - resampled_areas(first)

    assert np.std(between) < 0.3 * np.std(resampled_areas(first))


def test_without_blood_there_is_no_area() -> None:
    assert np.isnan(resampled_areas(Quality(np.zeros(3), np.zeros(3), {}, 0.5))).sum() == RESAMPLES
    (row,) = compared({"one": [reading(0.9, 0), reading(0.1, 0)]}, ["clear", "clear"])
    assert np.isnan(row.figures.auc)


def test_the_table_shows_what_lies_between_networks_only_where_there_are_several() -> None:
    one = [reading(0.9, 500), reading(0.1, 0)]
    told = io.StringIO()
    for readings in ({"a.h5": one}, {"a.h5": one, "b.h5": one}):
        Console(file=told, width=200).print(table(compared(readings, ["all new", "all new"])))
    alone, both = told.getvalue().split("Simulated heads alone")[1:]
    assert "ahead" not in alone
    assert "+0.000 (+0.000 to +0.000)" in both
    assert "1.000 (1.000 to 1.000)" in alone
