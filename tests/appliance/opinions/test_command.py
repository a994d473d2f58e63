# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from appliance.cli import app
from appliance.ledger.opinions import NewOpinion
from appliance.ledger.outcomes import Reason, Stance
from tests.appliance.web.site import Site, orthanc_id

DAY = 86_400.0
FIRST = 1_800_000_000.0


class Export:
    """Opinions of two days, and the command that prints them."""

    def __init__(self, folder: Path) -> None:
        self.now = FIRST
        self.site = Site(folder, clock=lambda: self.now)
        self.file = folder / "appliance.toml"
        self.file.write_text(f"state_dir = '{folder}'\n[orthanc]\nurl = 'http://127.0.0.1:1'\n")

    def print(self, *options: str) -> str:
        done = CliRunner().invoke(app, ["opinions", "export", *options, "--settings", str(self.file)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def rows(self, *options: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = json.loads(self.print("--json", *options))
        return rows


@pytest.fixture
def export(tmp_path: Path) -> Iterator[Export]:
    made = Export(tmp_path)
    first, second = (made.site.answered(orthanc_id(number)) for number in range(2))
    give = made.site.ledger.opinions.give
    given = give(first.id, NewOpinion("anna", Stance.AGREES))
    give(first.id, NewOpinion("carl", Stance.DISAGREES, Reason.WRONG_TYPE, '=HYPERLINK("x")', given.id))
    made.now += DAY
    give(second.id, NewOpinion("anna", Stance.DISAGREES, Reason.FALSE_ALARM))
    yield made
    made.site.ledger.close()


def test_the_opinions_that_count_are_printed_without_notes_and_without_a_patient(export: Export) -> None:
    rows = list(csv.DictReader(io.StringIO(export.print())))
    assert [(row["who"], row["answer"], row["stance"], row["reason"]) for row in rows] == [
        ("carl", "present", "disagrees", "wrong type"),
        ("anna", "present", "disagrees", "false alarm"),
    ]
    assert rows[0]["study_uid"] == f"1.2.{orthanc_id(0)}"
    assert rows[0]["model"] == "3"
    assert rows[0]["report_uid"].startswith("1.9.")
    assert "HYPERLINK" not in export.print()
    assert {"note", "patient_name", "patient_id"}.isdisjoint(rows[0])


def test_the_history_has_what_was_replaced_too(export: Export) -> None:
    assert [row["who"] for row in export.rows("--history")] == ["anna", "carl", "anna"]


def test_a_period_has_both_its_days(export: Export) -> None:
    assert [row["who"] for row in export.rows("--since", "20270116")] == ["anna"]
    assert [row["who"] for row in export.rows("--until", "20270115")] == ["carl"]
    assert len(export.rows("--since", "20270115", "--until", "20270116")) == 2


def test_a_note_is_printed_when_asked_for_and_is_no_formula_in_a_spreadsheet(export: Export) -> None:
    assert export.rows("--notes")[0]["note"] == '=HYPERLINK("x")'
    (row, _) = csv.DictReader(io.StringIO(export.print("--notes")))
    assert row["note"] == '\'=HYPERLINK("x")'


def test_patients_are_named_only_by_orthanc_which_has_to_answer(export: Export) -> None:
    done = CliRunner().invoke(app, ["opinions", "export", "--patients", "--settings", str(export.file)])
    assert done.exit_code == 1
    assert "Orthanc" in done.output
