# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance models golden`: the studies on which new versions of the detector prove themselves at a site."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

from appliance.clocks import iso
from appliance.console import FAILED, JsonOption, SettingsOption, folding_table, load_settings_or_exit, out, say
from appliance.ledger.records import GoldenStudy
from appliance.models.opening import ByOption, VersionArgument, open_life

golden_app = typer.Typer(
    no_args_is_help=True,
    help="Studies whose answer somebody confirmed: a new version has to find the same in them before it takes over.",
)
StudyArgument = Annotated[str, typer.Argument(metavar="STUDY", help="Its Study Instance UID, or Orthanc's identifier")]


@golden_app.command()
def add(
    study: StudyArgument,
    present: Annotated[
        bool, typer.Option("--present/--absent", help="What was confirmed: hemorrhage, or none", show_default=False)
    ],
    note: Annotated[str, typer.Option(help="Why its answer is known to be right; no names of patients")] = "",
    settings: SettingsOption = None,
    by: ByOption = "",
) -> None:
    """Make an answered study golden: its answer was confirmed, lesions and volumes included."""
    from appliance.models.golden import GoldenError, golden_study

    with open_life(load_settings_or_exit(settings), by) as life:
        golden = golden_study(life.ledger, study, present, life.who, note)
        if not life.ledger.golden.add(golden):
            raise GoldenError(f"study {golden.study_uid} is golden already")
    out.print(f"study {golden.study_uid} is golden: {_words(golden)}", markup=False, highlight=False, soft_wrap=True)


@golden_app.command("list")
def list_golden(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """List the golden studies: what was confirmed, by whom and when."""
    with open_life(load_settings_or_exit(settings)) as life:
        studies = life.ledger.golden.studies()
    if as_json:
        typer.echo(json.dumps([{**asdict(golden), "at": iso(golden.at)} for golden in studies], indent=2))
        return
    table = folding_table("study", "confirmed", "by", "at", "note")
    for golden in studies:
        table.add_row(golden.study_uid, _words(golden), golden.who, iso(golden.at), golden.note)
    out.print(table)


@golden_app.command()
def remove(study: StudyArgument, settings: SettingsOption = None, by: ByOption = "") -> None:
    """Take a study out of the golden ones; its answer and its images stay."""
    from appliance.models.golden import GoldenError

    with open_life(load_settings_or_exit(settings), by) as life:
        known = {name: one.study_uid for one in life.ledger.golden.studies() for name in _names(one)}
        if study not in known or not life.ledger.golden.remove(known[study], life.who):
            raise GoldenError(f"study {study} is not golden; `appliance models golden list` shows which are")
    out.print(f"study {known[study]} is not golden any more", markup=False, highlight=False, soft_wrap=True)


@golden_app.command()
def check(version: VersionArgument, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Have a loaded version read the golden studies, and show where it differs; ends with 1 if it does."""
    with open_life(load_settings_or_exit(settings)) as life:
        checked = life.check_golden(life.shelf.version(version), say)
    rows: list[dict[str, Any]] = [
        {"study_uid": one.golden.study_uid, "differences": list(one.differences)} for one in checked
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    elif not rows:
        out.print("there are no golden studies; `appliance models golden add` makes one")
    else:
        table = folding_table("study", "version " + version)
        for row in rows:
            table.add_row(row["study_uid"], "; ".join(row["differences"]) or "agrees")
        out.print(table)
    if any(row["differences"] for row in rows):
        raise typer.Exit(FAILED)


def _names(golden: GoldenStudy) -> tuple[str, str]:
    return golden.study_uid, golden.orthanc_study


def _words(golden: GoldenStudy) -> str:
    """Return what was confirmed, in words."""
    from appliance.models.comparison import answer_words

    return answer_words(golden.answer)
