# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance opinions`: what readers said of the answers, for quality assurance and for training."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from appliance.clocks import DAY_S, iso
from appliance.console import SettingsOption, faults_end_the_command, load_settings_or_exit
from appliance.ledger.command import DayOption, begin_of_day, open_ledger
from appliance.ledger.records import Opinion

if TYPE_CHECKING:
    from appliance.orthanc import Orthanc
    from appliance.settings import Settings

opinions_app = typer.Typer(no_args_is_help=True, help="What readers said of the answers on the board.")

_COLUMNS: Final = (
    "number",
    "at",
    "who",
    "study_uid",
    "answer",
    "stance",
    "reason",
    "model",
    "model_sha256",
    "report_uid",
    "job",
)
_PATIENT: Final = ("patient_name", "patient_id", "accession_number")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


@opinions_app.callback()
def _named() -> None:
    """Keep `export` a word of its own although it is alone."""


@opinions_app.command("export")
def export_opinions(
    since: DayOption = "",
    until: DayOption = "",
    history: Annotated[
        bool, typer.Option("--history", help="All opinions, also those that a later one replaced or took back")
    ] = False,
    notes: Annotated[bool, typer.Option("--notes", help="The readers' own words too: one may have named a patient")] = (
        False
    ),
    patients: Annotated[
        bool, typer.Option("--patients", help="Name, ID and accession number of the patient too, as Orthanc has them")
    ] = False,
    settings: SettingsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of CSV")] = False,
) -> None:
    """Print the opinions given from `--since` to `--until`, inclusive, as CSV, oldest first. It names no patient."""
    loaded = load_settings_or_exit(settings)
    with faults_end_the_command(), open_ledger(loaded) as ledger, _patients_of(loaded, patients) as identity:
        begin, end = begin_of_day(since), begin_of_day(until)
        found = ledger.opinions.entries(begin or 0.0, None if end is None else end + DAY_S, only_newest=not history)
        rows = [_row(one) | ({"note": one.note} if notes else {}) | identity(one) for one in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    columns = [*_COLUMNS, *(["note"] if notes else []), *(_PATIENT if patients else ())]
    written = csv.DictWriter(sys.stdout, columns, lineterminator="\n")
    written.writeheader()
    for row in rows:
        written.writerow({name: _cell(value) for name, value in row.items()})


def _row(one: Opinion) -> dict[str, Any]:
    report = one.answer_key if not one.answer_key.startswith("job ") else ""
    values = (one.id, iso(one.at), one.who, one.study_uid, one.outcome.value, one.stance.value, one.reason.value)
    return dict(zip(_COLUMNS, (*values, one.model, one.model_sha256, report, one.job), strict=True))


def _cell(value: Any) -> Any:
    """Return a value for a table: a text that a spreadsheet would take for a formula begins with an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


@contextmanager
def _patients_of(settings: Settings, wanted: bool) -> Iterator[Any]:
    """Yield what returns the patient's identity of an opinion; nothing unless it is `wanted`."""
    if not wanted:
        yield lambda _: {}
        return
    from appliance.orthanc import Orthanc

    orthanc = Orthanc(settings.orthanc)
    try:
        yield lambda one: _identity(one, orthanc)
    finally:
        orthanc.close()


def _identity(one: Opinion, orthanc: Orthanc) -> dict[str, str]:
    """Return whose study it is; empty where Orthanc no longer holds it. Raises `UnavailableError` when it is away."""
    from appliance.orthanc_errors import NotThereError

    try:
        held = orthanc.ask("GET", f"/studies/{one.orthanc_study}")
    except NotThereError:
        held = {}
    patient, study = held.get("PatientMainDicomTags") or {}, held.get("MainDicomTags") or {}
    values = (patient.get("PatientName", ""), patient.get("PatientID", ""), study.get("AccessionNumber", ""))
    return dict(zip(_PATIENT, map(str, values), strict=True))
