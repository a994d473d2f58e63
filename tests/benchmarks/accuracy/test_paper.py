# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from benchmarks.accuracy.paper import COHORTS, FULL, TABLE_2, stratum_name
from simulator.diagnosis import Diagnosis

CELLS = [(stratum, cohort) for stratum in TABLE_2 for cohort in COHORTS if TABLE_2[stratum][cohort]["accuracy"]]


@pytest.mark.parametrize(("stratum", "cohort"), CELLS)
def test_table_2_follows_from_its_sensitivities_and_specificities(stratum, cohort) -> None:
    row = TABLE_2[stratum][cohort]
    sensitivity, false = row["sensitivity"], 1 - row["specificity"]
    assert row["ppv"] == pytest.approx(sensitivity / (sensitivity + false), abs=0.0015)
    assert row["npv"] == pytest.approx((1 - false) / (2 - false - sensitivity), abs=0.0025)


@pytest.mark.parametrize(("stratum", "cohort"), CELLS)
def test_the_papers_balanced_accuracies_take_the_npv_for_the_specificity(stratum, cohort) -> None:
    row = TABLE_2[stratum][cohort]
    assert row["accuracy"] == pytest.approx((row["sensitivity"] + FULL[cohort]["npv"]) / 2, abs=0.0015)


def test_strata_are_named_as_people_read_them() -> None:
    names = [stratum_name(stratum) for stratum in TABLE_2]
    assert names[0] == "all hemorrhages"
    assert "EDH/SDH, small" in names
    assert len(set(names)) == len(TABLE_2) == 5 * (1 + len(Diagnosis) - 1)
