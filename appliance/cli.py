# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The command `appliance`: serve, analyze, status, models, doctor, accounts, audit, rules, outbox, settings, backup,
restore.

It parses, calls, prints; it decides nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.markup import escape

from appliance import __version__
from appliance.answer_text import print_result, status_lines
from appliance.clocks import clock_words
from appliance.console import (
    ANALYSED,
    FAILED,
    PATIENCE_S,
    REFUSED,
    USAGE,
    JsonOption,
    SettingsOption,
    faults_end_the_command,
    folding_table,
    load_settings_or_exit,
    out,
    print_error,
    say,
    sentence_of,
)
from appliance.delivery.command import outbox_app, rules_app
from appliance.drift.command import drift_app
from appliance.errors import ApplianceError
from appliance.ledger.command import audit_app
from appliance.models.command import models_app
from appliance.opinions.command import opinions_app
from appliance.settings_sources import settings_file
from appliance.transport import bounded_client
from appliance.web.command import accounts_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a header of a patient may be among them
    help="Reads the head CTs in an Orthanc for intracranial hemorrhage and hands back DICOM SR, SEG and key images. "
    "For testing and research: the shipped weights were trained on simulated scans alone.",
)
app.add_typer(models_app, name="models")
app.add_typer(accounts_app, name="accounts")
app.add_typer(audit_app, name="audit")
app.add_typer(rules_app, name="rules")
app.add_typer(outbox_app, name="outbox")
app.add_typer(drift_app, name="drift")
app.add_typer(opinions_app, name="opinions")


def _folder(text: str) -> Path:
    """Return the folder that an argument names: nothing, as an unset variable leaves it, is not the present one."""
    if not text.strip():
        raise typer.BadParameter("it is empty and names no folder; . is the present one")
    path = Path(text)
    try:
        is_file = path.is_file()
    except OSError as error:  # a name that is too long, or leads in a circle
        raise typer.BadParameter(f"{text} can be no folder: {error.strerror}") from error
    if is_file:
        raise typer.BadParameter(f"{text} is a file")
    return path


def _folder_there(text: str) -> Path:
    path = _folder(text)
    if not path.is_dir():
        raise typer.BadParameter(f"{text} is no folder that can be read")
    return path


@app.command()
def serve(settings: SettingsOption = None) -> None:
    """Run the service: follow Orthanc, read what arrives, store the answers, show status and metrics."""
    from appliance.serve import serve as run_service

    loaded = load_settings_or_exit(settings)
    with faults_end_the_command():
        run_service(loaded)


@app.command()
def analyze(
    folder: Annotated[Path, typer.Argument(parser=_folder_there, help="Folder with the study's DICOM files")],
    out_dir: Annotated[Path, typer.Option("--out", parser=_folder, help="Where result.json, *.dcm and *.png go")],
    study: Annotated[str | None, typer.Option(help="Study Instance UID, when the folder holds several")] = None,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read one study from a folder, without Orthanc. Exit 0 analysed, 3 refused, 1 failed, 2 wrong call."""
    from appliance import analyze as folder_analysis
    from appliance.answer_folder import AnswerFolder

    loaded = folder_analysis.with_secret(load_settings_or_exit(settings))
    try:
        contents = folder_analysis.folder_contents(folder)
        chosen = contents.study(study)
        AnswerFolder(out_dir).require_usable()  # before a person waits for an answer
        answer, model = None, None
        if chosen is not None:
            with folder_analysis.detector_at_hand(loaded, say) as detector:
                answer = folder_analysis.analyze(chosen, loaded, detector, say)
                model = asdict(answer.model)
        document = folder_analysis.result(answer, contents.refusals, model)
        written = folder_analysis.write_answer(out_dir, answer, document, say)
    except folder_analysis.WhichStudyError as error:
        print_error(str(error))
        raise typer.Exit(USAGE) from error
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        print_result(document)
        out.print(f"{len(written)} files in {out_dir}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(ANALYSED if document["present"] is not None else REFUSED)


@app.command()
def status(
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(help="How many of the newest studies to list")] = 20,
) -> None:
    """List studies with their state, answer and turnaround, as the running service reports them."""
    loaded = load_settings_or_exit(settings)
    address = f"http://{loaded.service.host}:{loaded.service.port}"
    try:
        with bounded_client(address, timeout_s=PATIENCE_S) as client:
            document = client.get("/status", params={"limit": limit}).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        print_error(
            f"the service does not answer on {address}: {error}\n"
            "start it with `appliance serve`; `appliance doctor` says more"
        )
        raise typer.Exit(FAILED) from error
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    for study in document["studies"]:
        for line in status_lines(study):
            out.print(line, markup=False, highlight=False, soft_wrap=True)
    out.print(f"{len(document['studies'])} studies, the newest first", style="dim", highlight=False)
    ahead_s = document.get("orthanc_clock_ahead_s")
    if ahead_s:
        out.print(f"Orthanc: {clock_words(ahead_s)}", style="yellow", highlight=False)


@app.command()
def doctor(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Check settings, Orthanc, plugin, Triton, models and disk, and say what to do about each fault."""
    from appliance.doctor.diagnose import diagnose

    checks = diagnose(load_settings_or_exit(settings))
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        colours = {"ok": "green", "warn": "yellow", "fail": "red"}
        table = folding_table("", "check", "what was seen", "what to do")
        for check in checks:
            state = f"[{colours[check.state]}]{check.state}[/]"
            table.add_row(state, check.name, escape(check.what), escape(check.remedy))
        out.print(table)
    raise typer.Exit(FAILED if any(check.state == "fail" for check in checks) else ANALYSED)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The backup to write; it must not exist yet")],
    settings: SettingsOption = None,
) -> None:
    """Write ledger, settings, accounts and the site's models into one file; the service may run meanwhile.

    It does not hold the studies (Orthanc's), or secrets, which each installation makes. See docs/backup.md.
    """
    from appliance.backup import back_up

    with faults_end_the_command():
        contents = back_up(load_settings_or_exit(settings), settings_file(settings), file)
    for name in contents.files:
        say(f"  {name}")
    if not contents.has_ledger:
        say("without the ledger: it is on a server (ledger.url), which the site backs up, or does not exist yet")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A backup")],
    settings: SettingsOption = None,
    with_settings: Annotated[
        bool, typer.Option("--with-settings/--without-settings", help="Restore the settings file too")
    ] = True,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a ledger that knows studies or is damaged")
    ] = False,
) -> None:
    """Restore a backup; the service must not run. Replaced files are kept beside the restored ones."""
    from appliance.restore import restore as put_back

    with faults_end_the_command():
        contents = put_back(
            file, load_settings_or_exit(settings), settings_file(settings), with_settings=with_settings, replace=replace
        )
    say(f"restored what version {contents.version} had at {contents.made}; start the service now")


@app.command("settings")
def show_settings(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show every setting: its value in force and its meaning."""
    loaded = load_settings_or_exit(settings)
    values = loaded.model_dump(mode="json")
    table = folding_table("setting", "value", "meaning")
    for section, outer in type(loaded).model_fields.items():
        of_section = getattr(type(getattr(loaded, section)), "model_fields", None)
        if of_section is None:
            table.add_row(section, escape(str(values[section])), escape(outer.description or ""))
            continue
        for name, described in of_section.items():
            if not described.repr and values[section][name]:  # a password, or an address with one in it
                values[section][name] = "***"
            meaning = escape(described.description or "")
            table.add_row(f"{section}.{name}", escape(str(values[section][name])), meaning)
    if as_json:
        typer.echo(json.dumps(values, indent=2))
    else:
        out.print(table)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
