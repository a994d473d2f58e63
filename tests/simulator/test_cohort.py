# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Cohorts: streamed, or written so that a run that was stopped or that failed goes on where it was."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from simulator import cohort, cohort_command
from simulator.cli import app
from simulator.cohort import Form, IncompleteCohortError, claim, find_missing, make, studies
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, read, write
from simulator.population import POPULATIONS
from simulator.recipes import INDEPENDENT_SEEDS, TRAINING_SEEDS, VALIDATION_SEEDS

HEALTHY = Entry(5_000_001, Diagnosis.NONE, None, "realistic")
BLEEDING = Entry(5_000_001, Diagnosis.IPH, 20.0, "realistic")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort of one positive study as arrays."""
    out = tmp_path_factory.mktemp("cohort")
    claim((BLEEDING,), out, Form.ARRAYS)
    assert list(make([BLEEDING], out, Form.ARRAYS, workers=1)) == [(BLEEDING, None)]
    return out


def test_a_study_of_arrays_has_its_labels_and_says_its_volume(folder: Path) -> None:
    study = folder / "iph-5000001"
    hu, labels = np.load(study / "hu.npy"), np.load(study / "labels.npy")
    said = json.loads((study / "study.json").read_text())
    assert (hu.dtype, labels.dtype, hu.shape) == (np.int16, np.uint8, labels.shape)
    assert {0, 1} <= set(np.unique(labels)) <= {0, 1, 2, 3}
    voxel_ml = np.prod(said["pixel_spacing_mm"]) * np.asarray(said["spans_mm"]) / 1000
    assert said["volumes_ml"]["iph"] == pytest.approx(float((labels == 1).sum(axis=(1, 2)) @ voxel_ml))
    assert said["volumes_ml"]["iph"] == pytest.approx(20, rel=0.15)


def test_a_streamed_study_is_the_one_that_is_written(folder: Path) -> None:
    (scan,) = studies([BLEEDING])
    assert np.array_equal(scan.hu, np.load(folder / "iph-5000001" / "hu.npy"))
    assert np.array_equal(scan.labels, np.load(folder / "iph-5000001" / "labels.npy"))


def test_what_is_there_is_not_made_again(folder: Path) -> None:
    before = (folder / "iph-5000001" / "hu.npy").stat().st_mtime_ns
    options = ["--manifest", str(folder / "manifest.csv"), "--form", "arrays", "--out", str(folder)]
    result = CliRunner().invoke(app, ["cohort", *options])
    assert result.exit_code == 0, result.output
    assert "1 of 1 studies" in result.output
    assert (folder / "iph-5000001" / "hu.npy").stat().st_mtime_ns == before


def test_a_folder_of_one_form_takes_no_studies_of_another(folder: Path) -> None:
    before = sorted(folder.rglob("*"))
    result = CliRunner().invoke(app, ["cohort", "--manifest", str(folder / "manifest.csv"), "--out", str(folder)])
    assert result.exit_code == 2
    assert "iph-5000001" in result.output
    assert "go on with --form arrays" in " ".join(result.output.replace("│", " ").split())
    assert sorted(folder.rglob("*")) == before


def test_a_half_written_study_counts_as_missing(tmp_path: Path) -> None:
    (tmp_path / ".iph-5000001.partial").mkdir()
    assert find_missing([BLEEDING], tmp_path) == [BLEEDING]


def test_one_study_that_fails_is_named_and_the_others_are_made(tmp_path: Path) -> None:
    (tmp_path / ".none-5000001.partial").write_text("a file where the study's folder is to be made")
    entries = [HEALTHY, Entry(5_000_002, Diagnosis.NONE)]
    manifest = tmp_path / "mine.csv"
    write(entries, manifest)
    result = CliRunner().invoke(app, ["cohort", "--manifest", str(manifest), "--out", str(tmp_path), "--workers", "1"])
    assert result.exit_code == 1
    assert "failed: none-5000001 (realistic): FileExistsError" in result.output
    assert "1 of 2 studies" in result.output
    truth = json.loads((tmp_path / "none-5000002" / "truth.json").read_text())
    assert (truth["seed"], truth["type"], truth["request"]["population"]) == (5_000_002, "none", "training")
    assert len(list((tmp_path / "none-5000002").glob("*.dcm"))) == sum(
        len(series["files"]) for series in truth["series"]
    )


def scan_of_all_but_the_second(entry: Entry) -> str:
    """Return a stand-in for a scan; the seed 2 cannot be simulated."""
    if entry.seed == 2:
        raise RuntimeError("no room")
    return entry.name


@pytest.mark.parametrize("workers", [1, 2])
def test_a_streamed_study_that_fails_is_named_after_the_others(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cohort, "scan_of", scan_of_all_but_the_second)
    coming = studies([Entry(seed, Diagnosis.NONE) for seed in (1, 2, 3)], workers=workers)
    assert [next(coming), next(coming)] == ["none-1", "none-3"]
    with pytest.raises(IncompleteCohortError, match=r"1 studies .*: none-2 \(training\): RuntimeError: no room"):
        next(coming)


def test_a_folder_takes_a_longer_cohort_but_no_other_one(tmp_path: Path) -> None:
    claim((HEALTHY,), tmp_path, Form.DICOM)
    claim((HEALTHY, BLEEDING), tmp_path, Form.DICOM)
    assert read(tmp_path / cohort.MANIFEST) == (HEALTHY, BLEEDING)
    with pytest.raises(ValueError, match="holds another cohort: 1 of its studies"):
        claim((BLEEDING,), tmp_path, Form.DICOM)


@pytest.mark.parametrize("population", POPULATIONS)
def test_only_trainings_own_population_is_drawn_from_trainings_seeds(
    population: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cohort_command, "make", lambda wanted, *_: ((entry, None) for entry in wanted))
    options = ["--studies", "3", "--population", population, "--out", str(tmp_path)]
    assert CliRunner().invoke(app, ["cohort", *options]).exit_code == 0
    entries = read(tmp_path / cohort.MANIFEST)
    assert {entry.population for entry in entries} == {population}
    assert {entry.seed in TRAINING_SEEDS for entry in entries} == {population == "training"}
    assert all(entry.seed not in seeds for entry in entries for seeds in (VALIDATION_SEEDS, INDEPENDENT_SEEDS))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "how many --studies"),
        ("--manifest validation --seed 3", "leave out --seed"),
        ("--manifest nowhere.csv", "neither a manifest file"),
        ("--studies 2 --population strange", "population is one of"),
    ],
)
def test_options_that_contradict_one_another_make_no_folder(options: str, said: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["cohort", "--out", str(tmp_path / "out"), *options.split()])
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()
