# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The command `appliance`: serve, analyze, status, models, doctor, accounts, audit, settings.

It parses, calls, prints; it decides nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import httpx
import typer
from rich.markup import escape
from rich.table import Table

from appliance import __version__
from appliance.allowed import date
from appliance.clocks import clock_words, iso
from appliance.console import (
    ANALYSED,
    FAILED,
    PATIENCE_S,
    REFUSED,
    USAGE,
    JsonOption,
    SettingsOption,
    folding_table,
    loaded_settings,
    out,
    print_error,
    say,
    sentence_of,
)
from appliance.errors import ApplianceError, SettingsError
from appliance.models.command import models_app
from appliance.results.wording import IMAGE_FLAW, PART_ONLY, covered_words, of_part
from appliance.settings import Settings
from appliance.transport import bounded_client
from appliance.web.accounts import Role, new_account, read_accounts, write_accounts

if TYPE_CHECKING:
    from appliance.ledger.ledger import Ledger

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # a header of a patient may be among them
    help="Reads the head CTs in an Orthanc for intracranial hemorrhage and hands back DICOM SR, SEG and key images. "
    "For testing and research: the shipped weights were trained on simulated scans alone.",
)
app.add_typer(models_app, name="models")

_DAY_S = 86_400


def _folder(text: str) -> Path:
    """Return the folder that an argument names: nothing, as an unset variable leaves it, is not the present one."""
    if not text.strip():
        raise typer.BadParameter("it is empty and names no folder; . is the present one")
    path = Path(text)
    if path.is_file():
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
    from appliance.service import serve as run_service

    loaded = loaded_settings(settings)
    try:
        run_service(loaded)
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error


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

    loaded = folder_analysis.with_secret(loaded_settings(settings))
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
        _print_result(document)
        out.print(f"{len(written)} files in {out_dir}", markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(ANALYSED if document["present"] is not None else REFUSED)


def _print_result(document: dict[str, Any]) -> None:
    if document["present"] is None:
        out.print("[yellow]not read[/yellow]")
    else:
        covered = document["coverage"]
        colour = "yellow" if covered["partial"] else "green"
        none_found = f"[{colour}]no hemorrhage found[/{colour}]"
        answer = "[red]hemorrhage[/red]" if document["present"] else none_found
        for flaw in document["flaws"]:
            said = f"{IMAGE_FLAW} {flaw['code']}: {flaw['reason']}"
            out.print(said, style="yellow", markup=False, highlight=False, soft_wrap=True)
        series = document["series"]
        out.print(f"{answer}{of_part(covered)}  probability {document['probability']:.3f}")
        for missing in covered["missing"]:
            out.print(f"{PART_ONLY} {missing}", style="yellow", markup=False, highlight=False, soft_wrap=True)
        described = f"series {series['uid']}  '{series['description']}', {covered_words(covered)}"
        out.print(described, markup=False, highlight=False, soft_wrap=True)
    if document["lesions"]:
        from appliance.results.facts import LESION_FACTS, lesion_row

        table = Table(*(fact.heading for fact in LESION_FACTS))
        for lesion in document["lesions"]:
            table.add_row(*lesion_row({**lesion, "slices": len(lesion["slices"])}))
        out.print(table)
    for refusal in document["refusals"]:
        out.print(f"refused: {refusal['code']}: {refusal['reason']}", markup=False, highlight=False, soft_wrap=True)
    out.print("research use only: the network was trained on simulated scans", style="dim")


@app.command()
def status(
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(help="How many of the newest studies are listed")] = 20,
) -> None:
    """List studies with their state, answer and turnaround, as the running service reports them."""
    loaded = loaded_settings(settings)
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


def status_lines(study: dict[str, Any]) -> list[str]:
    """Return what the service's status document says of one study: its UID whole on a line of its own, then the rest.

    The lines are not cut to the width of the terminal: a UID has up to 64 characters, and half a one helps nobody.
    """
    from appliance.results.facts import lesion_headline

    present = study.get("present")
    probability = study.get("probability")
    turnaround = study.get("turnaround_s")
    covered = study.get("coverage")
    answer = "" if present is None else ("hemorrhage" if present else "none found") + of_part(covered)
    facts = (
        study["state"],
        answer,
        "" if covered is None else covered_words(covered),
        "" if probability is None else f"probability {probability:.3f}",
        "" if turnaround is None else f"turnaround {turnaround:.2f} s",
        *(lesion_headline(lesion) for lesion in study.get("lesions") or ()),
        *(f"flaw {flaw['code']}" for flaw in study.get("flaws") or ()),
    )
    reasons = _why_not(study).splitlines() if present is None else covered["missing"] if covered else ()
    return [study["study_uid"], "  " + ", ".join(filter(None, facts)), *(f"    {reason}" for reason in reasons)]


def _why_not(study: dict[str, Any]) -> str:
    """Return why a study has no answer (yet): refusals with code and sentence, what it waits for, what went wrong."""
    refusals = [f"{refusal['code']}: {refusal['reason']}" for refusal in study.get("refusals") or ()]
    return "\n".join(filter(None, (study.get("waiting_for"), study.get("error"), *refusals)))


@app.command()
def doctor(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Check settings, Orthanc, plugin, Triton, models and disk, and say what to do about each fault."""
    from appliance.doctor.diagnose import diagnose

    checks = diagnose(loaded_settings(settings))
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


@app.command("settings")
def show_settings(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show every setting: its value in force and its meaning."""
    loaded = loaded_settings(settings)
    values = loaded.model_dump(mode="json")
    table = folding_table("setting", "value", "meaning")
    for section, outer in type(loaded).model_fields.items():
        of_section = getattr(type(getattr(loaded, section)), "model_fields", None)
        if of_section is None:
            table.add_row(section, escape(str(values[section])), outer.description or "")
            continue
        for name, described in of_section.items():
            if not described.repr and values[section][name]:  # a password, or an address with one in it
                values[section][name] = "***"
            table.add_row(f"{section}.{name}", escape(str(values[section][name])), described.description or "")
    if as_json:
        typer.echo(json.dumps(values, indent=2))
    else:
        out.print(table)


accounts_app = typer.Typer(
    no_args_is_help=True, help="Who may reach the service from elsewhere (access.host): names, roles and secrets."
)
app.add_typer(accounts_app, name="accounts")


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error


@accounts_app.command("add")
def add_account(name: str, role: Role, settings: SettingsOption = None) -> None:
    """Make an account and print its secret, once: the appliance keeps a sha256 of it alone. An older one ends."""
    file = loaded_settings(settings).accounts_file
    with _faults_told():
        account, secret = new_account(name, role)
        write_accounts(file, [*(one for one in read_accounts(file) if one.name != name), account])
    say(f"{name} may {role}; its secret, shown this once:")
    typer.echo(secret)


@accounts_app.command("remove")
def remove_account(name: str, settings: SettingsOption = None) -> None:
    """End an account: a running service lets it in no more."""
    file = loaded_settings(settings).accounts_file
    with _faults_told():
        accounts = read_accounts(file)
        if name not in {one.name for one in accounts}:
            raise SettingsError(f"{file}: no account {name!r} is there; see `appliance accounts list`")
        write_accounts(file, [one for one in accounts if one.name != name])


@accounts_app.command("list")
def list_accounts(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Show the accounts and their roles; nobody can be shown a secret."""
    with _faults_told():
        accounts = read_accounts(loaded_settings(settings).accounts_file)
    if as_json:
        typer.echo(json.dumps([{"name": one.name, "role": one.role} for one in accounts], indent=2))
        return
    table = folding_table("account", "role")
    for one in accounts:
        table.add_row(escape(one.name), one.role)
    out.print(table)


audit_app = typer.Typer(
    no_args_is_help=True,
    help="Who asked and looked, what was decided by which model and threshold, and what went where.",
)
app.add_typer(audit_app, name="audit")
DayOption = Annotated[str, typer.Option(metavar="YYYYMMDD", help="UTC date")]


@audit_app.command("export")
def export_audit(
    since: DayOption = "",
    until: DayOption = "",
    study: Annotated[str, typer.Option(help="Study Instance UID, for the entries about one study")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the audit trail of the days from `--since` up to and with `--until`, oldest first; no patient is named."""
    with _faults_told(), _ledger(loaded_settings(settings)) as ledger:
        begin, end = _day(since), _day(until)
        entries = ledger.audit.entries(begin or 0.0, None if end is None else end + _DAY_S, study)
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
    digest: Annotated[str, typer.Option(help="A digest that the service logged: is it in the trail?")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say whether the audit trail is whole: exit 0 when it is, 1 with the entry at fault when not."""
    with _faults_told(), _ledger(loaded_settings(settings)) as ledger:
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
def _ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger that is there. Raises `SettingsError` where there is none: looking makes no file."""
    from appliance.ledger.engine import awaits_migration
    from appliance.ledger.ledger import Ledger

    file = settings.state_dir / "ledger.sqlite"
    if not settings.ledger.url and not file.is_file():
        raise SettingsError(f"{file}: no ledger is there; state_dir or ledger.url names another than the service's")
    if awaits_migration(settings.ledger_url):
        raise SettingsError("the ledger is that of an older version; the next start of the service brings it forward")
    opened = Ledger(settings.ledger_url, busy_s=settings.ledger.busy_s)
    try:
        yield opened
    finally:
        opened.close()


def _day(text: str) -> float | None:
    """Return when a day begins (Unix seconds, UTC), None for no day. Raises `SettingsError` for what is none."""
    if not text:
        return None
    try:
        return datetime.strptime(date(text), "%Y%m%d").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SettingsError(f"{text!r}: {error}") from error


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)
