# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance audit`: shows the audit trail, and says whether it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from appliance.allowed import date
from appliance.clocks import DAY_S, iso
from appliance.console import (
    FAILED,
    JsonOption,
    SettingsOption,
    faults_end_the_command,
    folding_table,
    load_settings_or_exit,
    out,
    print_error,
)
from appliance.errors import SettingsError
from appliance.settings import Settings

if TYPE_CHECKING:
    from appliance.ledger.ledger import Ledger


audit_app = typer.Typer(
    no_args_is_help=True,
    help="Who asked and looked, what was decided by which model and threshold, and where results went.",
)
DayOption = Annotated[str, typer.Option(metavar="YYYYMMDD", help="UTC date")]


@audit_app.command("export")
def export_audit(
    since: DayOption = "",
    until: DayOption = "",
    study: Annotated[str, typer.Option(help="Study Instance UID, for the entries about one study")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the audit trail from `--since` to `--until`, inclusive, oldest entry first. It names no patient."""
    with faults_end_the_command(), open_ledger(load_settings_or_exit(settings)) as ledger:
        begin, end = begin_of_day(since), begin_of_day(until)
        entries = ledger.audit.entries(begin or 0.0, None if end is None else end + DAY_S, study)
        if as_json:
            told = [asdict(entry) | {"at": iso(entry.at)} for entry in entries]
            typer.echo(json.dumps(told, indent=2))
            return
        table = folding_table("number", "time (UTC)", "who", "event", "study", "details")
        for entry in entries:
            details = ", ".join(f"{name}: {json.dumps(value)}" for name, value in entry.details.items())
            columns = (str(entry.seq), iso(entry.at), entry.who, entry.event, entry.study_uid, details)
            table.add_row(*map(escape, columns))
        out.print(table)


@audit_app.command("verify")
def verify_audit(
    digest: Annotated[str, typer.Option(help="A digest that the service logged, to search for in the trail")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check whether the audit trail is whole. Exit 0 if it is; else 1, with the first bad entry."""
    with faults_end_the_command(), open_ledger(load_settings_or_exit(settings)) as ledger:
        verdict = ledger.audit.verify()
        fault = verdict.fault
        if digest and not fault and not any(entry.digest == digest for entry in ledger.audit.entries()):
            fault = "no entry has this digest: it was pruned, or the trail was made anew"
    if as_json:
        typer.echo(json.dumps(asdict(verdict) | {"fault": fault}, indent=2))
    elif not fault:
        typer.echo(f"{verdict.entries} entries, whole; newest digest {verdict.digest or 'none'}")
    if fault:
        if not as_json:
            print_error(f"the audit trail is not whole: {fault}")
        raise typer.Exit(FAILED)


@contextmanager
def open_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the existing ledger. Raises `SettingsError` if there is none: reading must not create a file."""
    from appliance.ledger.engine import awaits_migration
    from appliance.ledger.ledger import Ledger

    file = settings.state_dir / "ledger.sqlite"
    if not settings.ledger.url and not file.is_file():
        raise SettingsError(f"{file}: no ledger is there; state_dir or ledger.url names another than the service's")
    if awaits_migration(settings.ledger_url):
        raise SettingsError("the ledger is of an older version; the next start of the service migrates it")
    opened = Ledger(settings.ledger_url, busy_s=settings.ledger.busy_s)
    try:
        yield opened
    finally:
        opened.close()


def begin_of_day(text: str) -> float | None:
    """Return when a day begins (Unix seconds, UTC), None for an empty text. Raises `SettingsError` for a bad date."""
    if not text:
        return None
    try:
        return datetime.strptime(date(text), "%Y%m%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SettingsError(f"{text!r}: {error}") from error
