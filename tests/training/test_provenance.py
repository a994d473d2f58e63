# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest

from training.provenance import ROOT, describe_command, describe_path, git_revision, join_seeds, ranges


@pytest.mark.parametrize(
    ("path", "told"),
    [
        (ROOT / "var/training/long", "var/training/long"),
        (Path("var/training"), "var/training"),
        (Path("/home/somebody/scans/run-7"), "run-7"),
    ],
)
def test_a_path_is_told_from_the_repository_on_and_of_others_the_name(path: Path, told: str) -> None:
    assert describe_path(path) == told


def test_a_command_is_told_without_the_folders_of_a_machine() -> None:
    arguments = ["long", "publish", "--folder", str(ROOT / "var/long"), "--out=/home/somebody/out", "--rate", "3e-4"]
    assert describe_command("training", arguments) == (
        "python -m training long publish --folder var/long --out=out --rate 3e-4"
    )


def test_seeds_are_told_as_ranges() -> None:
    assert ranges([5, 1, 2, 3, 9]) == [(1, 3), (5, 5), (9, 9)]


def test_seeds_of_an_earlier_machine_stay_beside_those_of_this_one() -> None:
    joined = join_seeds({"a": [[1, 3], [7, 7]], "b": [[5, 6]]}, {"a": [4, 9], "c": [2]})
    assert joined == {"a": [(1, 4), (7, 7), (9, 9)], "b": [(5, 6)], "c": [(2, 2)]}


def test_the_revision_is_told_where_there_is_git_and_unknown_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert git_revision() not in ("", "unknown")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_revision() == "unknown"
