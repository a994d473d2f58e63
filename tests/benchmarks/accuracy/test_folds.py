# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.accuracy.folds import split, train_fold
from benchmarks.accuracy.sample import development
from simulator.manifest import read


def test_every_study_is_judged_once_and_no_head_is_on_both_sides() -> None:
    entries = development(100)
    made = split(entries, 5)
    judged = [entry for _, judge in made for entry in judge]
    assert sorted(entry.name for entry in judged) == sorted(entry.name for entry in entries)
    for learn, judge in made:
        assert not {entry.seed for entry in learn} & {entry.seed for entry in judge}
        assert {entry.diagnosis for entry in judge} == {entry.diagnosis for entry in entries}


def test_fewer_studies_of_a_finding_than_folds_are_refused() -> None:
    with pytest.raises(ValueError, match="5 folds need"):
        split(development(10), 5)


def test_a_fold_is_trained_by_the_command_once(tmp_path: Path) -> None:
    learn, judge = split(development(50), 5)[0]
    code = "import sys; open(sys.argv[1], 'ab').write(b'x')"
    command = f'{sys.executable} -c "{code}" {{model}}'
    for _ in range(2):
        assert train_fold(tmp_path, learn, judge, command).read_bytes() == b"x"
    assert read(tmp_path / "learn.csv") == learn
    assert read(tmp_path / "judge.csv") == judge


@pytest.mark.parametrize(
    ("command", "said"), [(None, "is missing"), ("false", "ended with the status 1"), ("true", "wrote no")]
)
def test_a_fold_without_a_model_is_refused(tmp_path: Path, command: str | None, said: str) -> None:
    learn, judge = split(development(50), 5)[0]
    with pytest.raises(ValueError, match=said):
        train_fold(tmp_path, learn, judge, command)
