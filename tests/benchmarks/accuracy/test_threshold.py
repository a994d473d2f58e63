# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import threshold
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry
from simulator.manifest import read as manifest
from tests.benchmarks.accuracy.made_records import record


def studies(kind: str, scores: list[float], first: int, **more: object) -> list:
    """Return records of one type, a score each."""
    return [record(first + i, kind, score, **more) for i, score in enumerate(scores)]


def test_the_worst_group_chooses_the_threshold() -> None:
    quiet = studies("none", list(np.linspace(0.05, 0.6, 40)), 0)
    easy = studies("iph", [0.999] * 20, 100)
    hard = studies("sah", [0.7] * 20, 200)
    found = threshold.choose_threshold([*quiet, *easy, *hard], "a")
    assert 0.6 < found.threshold < 0.7
    assert found.groups[0].sensitivity == found.groups[0].specificity == 1


def test_of_the_best_thresholds_the_middle_of_the_log_odds_is_taken() -> None:
    records = studies("none", [0.5] * 20, 0) + studies("iph", [0.99] * 20, 100)
    assert threshold.choose_threshold(records, "a").threshold == pytest.approx(1 / (1 + np.sqrt(1 / 99)), abs=1e-3)


def test_specks_have_no_say() -> None:
    records = studies("none", list(np.linspace(0.05, 0.5, 20)), 0) + studies("iph", [0.9] * 20, 100)
    specks = studies("iph", [0.06] * 20, 200, true_ml=0.005)
    assert (
        threshold.choose_threshold(records + specks, "a").threshold
        == threshold.choose_threshold(records, "a").threshold
    )


def test_a_group_of_too_few_chooses_nothing() -> None:
    with pytest.raises(ValueError, match="no group has 10 studies"):
        threshold.choose_threshold(studies("none", [0.1] * 20, 0) + studies("iph", [0.9] * 9, 100), "a")


def test_fewer_than_300_studies_without_blood_choose_no_threshold() -> None:
    entries = [Entry(3_000_000 + i, Diagnosis.NONE) for i in range(299)]
    with pytest.raises(ValueError, match="at least 300 studies without blood, not 299"):
        threshold.candidates(entries)
    threshold.candidates(manifest("validation"))


@pytest.mark.parametrize("cohort", ["independent", "enriched"])
def test_studies_that_report_figures_choose_no_threshold(cohort: str) -> None:
    with pytest.raises(ValueError, match=f"studies of the cohort {cohort} report figures"):
        threshold.candidates((*manifest("validation"), manifest(cohort)[5]))


def test_a_report_refuses_studies_that_chose_its_threshold_and_other_weights(tmp_path: Path) -> None:
    records = studies("none", [0.5] * 20, 0) + studies("iph", [0.99] * 20, 100)
    threshold.write(threshold.choose_threshold(records, "a"), tmp_path / "threshold.json")
    choice = threshold.read(tmp_path / "threshold.json")
    choice.check([Entry(500, Diagnosis.NONE)], "a")
    with pytest.raises(ValueError, match="1 of the studies chose the threshold"):
        choice.check([Entry(500, Diagnosis.NONE), Entry(103, Diagnosis.NONE)], "a")
    with pytest.raises(ValueError, match="chosen for the model a, not for b"):
        choice.check([Entry(500, Diagnosis.NONE)], "b")


def test_a_file_that_holds_no_threshold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match="holds no threshold"):
        threshold.read(tmp_path / "x.json")
