# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The report from a manifest to its files, with the shipped network on two simulated studies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.accuracy import commands, log
from benchmarks.accuracy.commands import app
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, write

SMOKE = (Entry(6_500_001, Diagnosis.IPH, 40.0, "clear"), Entry(6_500_002, Diagnosis.NONE, None, "clear"))


@pytest.fixture(scope="module")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report on two studies, one with a large clot."""
    out = tmp_path_factory.mktemp("accuracy")
    write(SMOKE, out / "smoke.csv")
    ended = run("report", str(out / "smoke.csv"), "--out", str(out), "--workers", "2")
    assert ended.exit_code == 0, ended.output
    return out


def run(*arguments: str):
    return CliRunner().invoke(app, arguments)


def test_a_large_clot_is_found_and_measured(smoke: Path) -> None:
    found = json.loads((smoke / "smoke" / "report.json").read_text())
    assert found["scans"] == "simulated"
    assert found["full_set"]["sensitivity"]["part"] == 1
    assert found["dice"]["iph"]["pooled"]["value"] > 0.7
    assert found["table_1"]["iph"]["large"] == 1


def test_the_report_says_that_scans_are_simulated_and_shows_every_plot_it_names(smoke: Path) -> None:
    text = (smoke / "smoke" / "report.md").read_text()
    assert "No scan of a person" in text
    named = [line.split("(")[-1].rstrip(")") for line in text.splitlines() if line.startswith("![")]
    assert len(named) >= 6
    assert all((smoke / "smoke" / name).stat().st_size > 5000 for name in named)


def test_a_second_run_reads_nothing_again(smoke: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_to_read(*_: object) -> None:
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(commands.Store, "read_missing", lambda self, work, *_, **__: iter(map(nothing_to_read, work)))
    before = (smoke / "smoke" / "report.json").read_text()
    ended = run("report", str(smoke / "smoke.csv"), "--out", str(smoke))
    assert ended.exit_code == 0, ended.output
    after = json.loads((smoke / "smoke" / "report.json").read_text())
    assert {**json.loads(before), "command": ""} == {**after, "command": ""}


def test_records_of_another_threshold_are_not_mixed_in(smoke: Path) -> None:
    wanted: list[object] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(commands.Store, "read_missing", lambda self, work, *_, **__: iter(wanted.extend(work) or ()))
        ended = run("report", str(smoke / "smoke.csv"), "--out", str(smoke), "--threshold", "0.5")
    assert ended.exit_code == 2
    assert len(wanted) == 2
    assert "not one study could be read" in ended.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("perturb", "independent"), "a kept cohort is read once"),
        (("report", "nowhere"), "nowhere is neither a manifest file nor one of"),
        (("report", "--threshold", "high"), "--threshold is a number or a .json file"),
        (("report", "--threshold", "1.5"), "a threshold lies above 0 and is at most 1"),
        (("report", "--conditions", "fog"), "there is no condition fog"),
        (("report", "--model", "nowhere.onnx"), "nowhere.onnx is not there"),
        (("report", "validation", "--studies", "481"), "validation has 480 studies, not 481"),
        (("threshold", "development"), "at least 300 studies without blood"),
        (("threshold", "enriched"), "choose no threshold"),
        (("cross-validate", "independent"), "a kept cohort is not learnt from"),
        (("cross-validate", "development", "--studies", "50"), "model.onnx is missing: give --steps"),
        (("cross-validate", "--steps", "9", "--train", "true"), "give one of them"),
    ],
)
def test_what_cannot_be_done_is_refused_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    ended = run(*arguments, "--out", str(tmp_path))
    assert ended.exit_code == 2
    assert f"refused: {said}" in ended.output.replace("\n", " ") or said in ended.output


def test_a_second_look_at_a_kept_cohort_is_refused_before_a_study_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "READINGS", tmp_path / "readings.jsonl")
    monkeypatch.setattr(commands.Store, "read_missing", lambda *_, **__: iter(()))
    first = run("report", "independent", "--studies", "3", "--out", str(tmp_path))
    assert "not one study could be read" in first.output
    second = run("report", "independent", "--out", str(tmp_path))
    assert second.exit_code == 2
    assert "these weights read the cohort independent on" in second.output
    assert [line["studies"] for line in log.readings(tmp_path / "readings.jsonl")] == [3]
