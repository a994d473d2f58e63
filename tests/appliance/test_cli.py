# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the command prints, where it is narrow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from appliance import cli
from appliance.answer_text import print_result, status_lines
from tests.json_server import json_server

UID = "1.2.826.0.1.3680043.8.498." + "7" * 38
DOCUMENT: dict[str, Any] = {
    "studies": [
        {
            "study_uid": UID,
            "state": "done",
            "present": True,
            "probability": 0.93,
            "turnaround_s": 2.75,
            "lesions": [{"type": "iph", "volume_ml": 31.25}, {"type": "sah", "volume_ml": 2.0}],
        },
        {
            "study_uid": UID[:-1] + "8",
            "state": "refused",
            "present": None,
            "refusals": [{"code": "not_head", "reason": f"series {UID} shows [an ankle]"}],
        },
    ]
}


@pytest.fixture
def service() -> Iterator[int]:
    """The port of a service with two studies."""
    with json_server(lambda: DOCUMENT) as port:
        yield port


@pytest.mark.parametrize("columns", ["40", "80", "250"])
def test_the_status_shows_every_uid_whole_however_narrow_the_terminal(
    service: int, columns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli, "out", Console(width=int(columns)))
    file = tmp_path / "appliance.toml"
    file.write_text(f"[service]\nport = {service}\n")
    shown = CliRunner().invoke(cli.app, ["status", "--settings", str(file)]).stdout.splitlines()
    assert shown[0] == UID
    assert shown[1] == "  done, hemorrhage, probability 0.930, turnaround 2.75 s, IPH 31.2 mL, SAH 2.0 mL"
    assert shown[2] == UID[:-1] + "8"
    assert shown[4] == f"    not_head: series {UID} shows [an ankle]"


def test_a_long_path_is_folded_in_a_table_and_not_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "out", Console(width=80))
    file = tmp_path / "appliance.toml"
    file.write_text(f"state_dir = '/{'long/' * 30}'\n")
    shown = CliRunner().invoke(cli.app, ["settings", "--settings", str(file)]).stdout
    assert "…" not in shown
    assert shown.count("long") > 20


@pytest.mark.parametrize(("present", "said"), [(True, "hemorrhage"), (False, "none found")])
def test_an_answer_about_a_part_of_the_head_says_so_in_the_list_of_studies(present: bool, said: str) -> None:
    part = {"partial": True, "slices_read": 12, "slices_there": 30, "extent_mm": 60.0, "missing": ["no top"]}
    _, line, missing = status_lines({"study_uid": "1.2", "state": "done", "present": present, "coverage": part})
    assert line == f"  done, {said} in the part of the head that was read, 12 of 30 slices, 60 mm"
    assert missing.strip() == "no top"


def test_an_answer_of_an_older_version_is_listed_without_what_it_covers() -> None:
    assert status_lines({"study_uid": "1.2", "state": "done", "present": False}) == ["1.2", "  done, none found"]


def test_no_hemorrhage_found_in_a_part_is_printed_with_the_part(capsys: pytest.CaptureFixture[str]) -> None:
    part = {"partial": True, "slices_read": 12, "slices_there": 30, "extent_mm": 60.0, "missing": ["no top"]}
    series = {"uid": "1.2.3", "description": "Head", "slices": 12}
    document = {
        "present": False,
        "probability": 0.1,
        "coverage": part,
        "series": series,
        "lesions": [],
        "refusals": [],
        "flaws": [],
    }
    print_result(document)
    printed = " ".join(capsys.readouterr().out.split())
    assert "no hemorrhage found in the part of the head that was read" in printed
    assert "PART OF THE HEAD ONLY. no top" in printed
    assert "12 of 30 slices, 60 mm" in printed


def test_a_name_that_is_too_long_for_any_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    for words in (["analyze", str(tmp_path), "--out", "a" * 300], ["analyze", "a" * 300, "--out", str(tmp_path)]):
        done = CliRunner().invoke(cli.app, words, env={"COLUMNS": "600"})
        assert done.exit_code == cli.USAGE
        assert "File name too long" in done.stderr
        assert isinstance(done.exception, SystemExit)


@pytest.mark.parametrize("where", ["", " "])
def test_an_empty_name_of_a_folder_is_not_the_present_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["analyze", str(tmp_path), "--out", where], ["analyze", where, "--out", "answer"]):
        done = CliRunner().invoke(cli.app, words, env={"COLUMNS": "200"})
        assert done.exit_code == cli.USAGE
        assert "it is empty and names no folder" in done.stderr
    assert list(tmp_path.iterdir()) == []
