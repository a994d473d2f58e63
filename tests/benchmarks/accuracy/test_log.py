# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.accuracy import log
from benchmarks.accuracy.sample import development
from simulator.manifest import read


def test_one_study_of_a_kept_cohort_is_a_look_at_it() -> None:
    assert log.cohort_of_log((*development(5), read("independent")[100])) == "independent"
    assert log.cohort_of_log(read("enriched")[:1]) == "enriched"
    assert log.cohort_of_log((*development(100), *read("validation"))) is None


def test_weights_read_a_cohort_once_and_again_only_with_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "readings.jsonl"
    log.begin(path, "independent", "aa", "s", 682)
    log.end(path, "independent", "aa", "s", {"auc": 0.9})
    log.end(path, "independent", "aa", "s", {"auc": 0.9})
    with pytest.raises(ValueError, match="these weights read the cohort independent on"):
        log.begin(path, "independent", "aa", "s", 1)
    log.begin(path, "independent", "bb", "s", 682)
    log.begin(path, "independent", "aa", "s", 3, again="the simulator changed")
    lines = log.readings(path)
    assert [line["what"] for line in lines] == ["begun", "read", "begun", "begun"]
    assert lines[1]["figures"] == {"auc": 0.9}
    assert lines[3]["again"] == "the simulator changed"


def test_a_broken_log_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "log").write_text('{"what": "begun"}\nnothing\n')
    with pytest.raises(ValueError, match="line 2"):
        log.readings(tmp_path / "log")


def test_the_committed_log_can_be_read() -> None:
    assert all({"date", "what", "cohort", "model_sha256"} <= set(line) for line in log.readings())
