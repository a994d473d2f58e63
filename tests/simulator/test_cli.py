# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The command line: a real head, bled into, scanned and written, small."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_rescale
from typer.testing import CliRunner, Result

from simulator import cli
from simulator.bleeding import UnlabelledBleedError
from simulator.cli import app
from simulator.series import SeriesKind
from simulator.study import write_stacks
from tests.simulator.tiny_study import tiny_stacks


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["study", *arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A full study of 30 mL, ten slices of 96 x 96."""
    out = tmp_path_factory.mktemp("study")
    options = "--seed 7 --diagnosis iph --volume-ml 30 --series every --slices 10 --matrix 96 --descriptions vendor"
    result = run(*options.split(), "--out", str(out))
    assert result.exit_code == 0, result.output
    assert "iph" in result.output
    return out


def test_a_study_has_every_series_asked_for_and_its_truth(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    assert (truth["seed"], truth["type"]) == (7, "iph")
    assert truth["volume_ml"] == pytest.approx(30, rel=0.2)
    assert [series["kind"] for series in truth["series"]] == [kind.value for kind in SeriesKind]
    named = [name for series in truth["series"] for name in series["files"]]
    assert sorted(named) == sorted(path.name for path in folder.glob("*.dcm"))
    labels = np.load(folder / "truth.npy")
    assert (labels.dtype, labels.shape) == (np.uint8, (10, 96, 96))
    assert set(np.unique(labels)) == {0, 1}


def test_blood_is_brighter_than_brain_where_truth_npy_says_it_is(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    labels = np.load(folder / "truth.npy")
    axial = next(series for series in truth["series"] if series["series_uid"] == truth["series_uid"])
    datasets = [pydicom.dcmread(folder / name) for name in axial["files"]]
    hu = np.array([apply_rescale(dataset.pixel_array, dataset) for dataset in datasets])
    brain = hu[4:7, 40:56, 30:66]
    assert hu[labels == 1].mean() > np.median(brain) + 15


def test_every_series_of_a_real_head_passes_dciodvfy(folder: Path) -> None:
    truth = json.loads((folder / "truth.json").read_text())
    for series in truth["series"]:
        path = folder / series["files"][len(series["files"]) // 2]
        checked = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True, check=False)
        assert [line for line in (checked.stdout + checked.stderr).splitlines() if line.startswith("Error")] == []
        assert checked.returncode == 0


def test_a_volume_that_finds_no_room_is_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "write_study", lambda spec, out: write_stacks(tiny_stacks(), spec, out))
    options = ("--seed", "7", "--diagnosis", "iph", "--series", "axial", "--out", str(tmp_path))
    labelled = run(*options, "--volume-ml", "900")

    assert labelled.exit_code == 0
    assert "warning: " in labelled.output
    assert "mL of iph labelled, 900 mL wanted" in labelled.output
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert "warning" not in run(*options, "--volume-ml", str(truth["volume_ml"])).output


def test_a_head_that_cannot_bleed_as_asked_ends_with_an_error_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_to_label(*_: object) -> NoReturn:
        raise UnlabelledBleedError("seed 7: no voxel is labelled iph")

    monkeypatch.setattr(cli, "write_study", fail_to_label)
    result = run("--seed", "7", "--diagnosis", "iph", "--out", str(tmp_path))

    assert result.exit_code == 1
    assert result.output == f"no study in {tmp_path}: seed 7: no voxel is labelled iph\n"


def test_the_module_runs_and_its_help_names_what_matters() -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "simulator", "study", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for word in ("--seed", "--diagnosis", "--out", "--new-uids", "--tilt", "--orientation", "truth.npy", "rheinwald"):
        assert word in shown


@pytest.mark.parametrize(
    "options", ["--series axial,mri", "--mixed-spacing --spacing-mm 5", "--diagnosis tumour", "--vendor nobody"]
)
def test_options_that_cannot_be_met_end_with_a_usage_error_and_no_file(options: str, tmp_path: Path) -> None:
    result = run("--seed", "1", "--diagnosis", "iph", "--out", str(tmp_path / "out"), *options.split())
    assert result.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_the_example_in_the_help_writes_below_the_folder_that_git_ignores() -> None:
    assert "--out var/study" in " ".join(run("--help").output.split())
