# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.accuracy.folds import ROOT, given_command, split, train_fold, training_commands
from benchmarks.accuracy.sample import development
from simulator.manifest import Entry, read


def with_volumes(entries: tuple[Entry, ...], volume_ml: float) -> tuple[Entry, ...]:
    """Return the studies, those with blood of a given volume."""
    return tuple(one if one.diagnosis == "none" else replace(one, volume_ml=volume_ml) for one in entries)


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
    command = given_command(tmp_path, f'{sys.executable} -c "{code}" {{model}}')
    for _ in range(2):
        assert train_fold(tmp_path, learn, judge, command).read_bytes() == b"x"
    assert read(tmp_path / "learn.csv") == learn
    assert read(tmp_path / "judge.csv") == judge


@pytest.mark.parametrize("ended", ["with a model", "before its model"])
@pytest.mark.parametrize("changed", ["folds", "studies", "volumes"])
def test_a_fold_of_other_studies_is_neither_continued_nor_read(tmp_path: Path, ended: str, changed: str) -> None:
    learn, judge = split(development(50), 5)[0]
    other, others_judge = {
        "folds": lambda: split(development(50), 4)[0],
        "studies": lambda: split(development(40), 4)[0],
        "volumes": lambda: (with_volumes(learn, 7.0), judge),
    }[changed]()
    command = given_command(tmp_path, f'{sys.executable} -c "import sys; open(sys.argv[1], chr(120))" {{model}}')
    if ended == "with a model":
        train_fold(tmp_path, learn, judge, command)
    else:
        with pytest.raises(ValueError, match="ended with the status 1"):
            train_fold(tmp_path, learn, judge, [["false"]])
    with pytest.raises(ValueError, match="begun with other studies"):
        train_fold(tmp_path, other, others_judge, command)
    assert (tmp_path / "model.onnx").exists() == (ended == "with a model")
    assert read(tmp_path / "learn.csv") == learn
    assert read(tmp_path / "judge.csv") == judge
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name != "model.onnx") == [".csv", ".csv"]
    train_fold(tmp_path, learn, judge, command)


def test_a_fold_whose_volumes_have_many_digits_is_continued(tmp_path: Path) -> None:
    learn, judge = split(development(50), 5)[0]
    learn = with_volumes(learn, 1 / 3)
    with pytest.raises(ValueError, match="ended with the status 1"):
        train_fold(tmp_path, learn, judge, [["false"]])
    train_fold(tmp_path, learn, judge, [["touch", str(tmp_path / "model.onnx")]])


@pytest.mark.parametrize(
    ("command", "said"), [(None, "is missing"), ("false", "ended with the status 1"), ("true", "wrote no")]
)
def test_a_fold_without_a_model_is_refused(tmp_path: Path, command: str | None, said: str) -> None:
    learn, judge = split(development(50), 5)[0]
    with pytest.raises(ValueError, match=said):
        train_fold(tmp_path, learn, judge, [] if command is None else given_command(tmp_path, command))


def test_nothing_more_is_run_after_a_command_that_fails(tmp_path: Path) -> None:
    learn, judge = split(development(50), 5)[0]
    with pytest.raises(ValueError, match="false ended with the status 1"):
        train_fold(tmp_path, learn, judge, [["false"], ["touch", str(tmp_path / "model.onnx")]])
    assert not (tmp_path / "model.onnx").exists()


def test_training_here_needs_its_environment(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="make environments"):
        training_commands(tmp_path, 20, tmp_path / "python")


def test_each_step_of_training_a_fold_is_a_command_that_its_module_knows(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch()
    heads, train, export = training_commands(tmp_path / "1", 20, python)
    assert [one[2] for one in (heads, train, export)] == ["training", "training", "conversion"]
    assert heads[heads.index("--store") + 1] == str(tmp_path / "heads")
    for module, arguments in (("training", heads[3:]), ("training", train[3:]), ("conversion", export[3:])):
        asked = [sys.executable, "-m", module, arguments[0], "--help"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True, cwd=ROOT).stdout
        assert all(option in said for option in arguments if option.startswith("--"))
