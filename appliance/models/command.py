# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance models`: what a site does with versions of the detector. It parses, calls, prints; it decides nothing."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import httpx
import typer

from appliance.clocks import iso
from appliance.console import (
    FAILED,
    PATIENCE_S,
    JsonOption,
    SettingsOption,
    folding_table,
    load_settings_or_exit,
    out,
    print_error,
    say,
    sentence_of,
)
from appliance.errors import ApplianceError
from appliance.models.golden_command import golden_app
from appliance.models.opening import ByOption, VersionArgument, open_life
from appliance.settings import Settings
from appliance.transport import bounded_client

if TYPE_CHECKING:
    from appliance.models.life import Proven

models_app = typer.Typer(
    no_args_is_help=True,
    help="Versions of the detector: load a new one beside the one that answers, promote it, roll it back.",
)
models_app.add_typer(golden_app, name="golden")

_TAKEN_OVER_S: Final = 20.0


@models_app.command("list")
def list_versions(
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    history: Annotated[int, typer.Option(min=0, help="How many of the newest changes to list")] = 10,
) -> None:
    """List the versions, what each does now, and who changed what and when."""
    from appliance.models.life import overview

    loaded = load_settings_or_exit(settings)
    with open_life(loaded) as life:
        changes = life.changes()
        document = overview(life, changes, answering_sha256(loaded), loaded.finding.threshold)
    shown = changes[::-1][:history]
    document["history"] = [{**asdict(change), "at": iso(change.at)} for change in shown]
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    table = folding_table("version", "state", "sha256", "threshold", "from", "engine", "proven")
    for row in document["versions"]:
        engine = row["engine"] or {}
        table.add_row(
            row["version"] or row["served_as"],
            state_words(row),
            row["sha256"][:12],
            threshold_words(row),
            row["origin"],
            f"{engine['key']['gpu']}, built {engine['built']} in {engine['seconds']:.0f} s" if engine else "",
            row["proven"] or "",
        )
    out.print(table)
    for row in document["versions"]:
        if row["fault"]:
            fault = f"version {row['version'] or row['served_as']} cannot be read: {row['fault']}"
            out.print(fault, style="yellow", markup=False, highlight=False, soft_wrap=True)
    if len(document["tritons"]) > 1:
        for triton in document["tritons"]:
            serves = ", ".join(triton["loaded"]) or "none" if triton["answers"] else ""
            what = f"has loaded: {serves}" if triton["answers"] else "does not answer"
            out.print(f"Triton at {triton['address']} {what}", markup=False, highlight=False, soft_wrap=True)
    for change in document["history"]:
        what = f"{change['at']}  {change['event'].replace('_', ' ')}  version {change['version']}  by {change['who']}"
        out.print(
            what + (f": {change['note']}" if change["note"] else ""), markup=False, highlight=False, soft_wrap=True
        )
    if document["answers_sha256"] is None:
        out.print("the service does not answer, so which version it reads with is not known", style="yellow")


def state_words(row: dict[str, Any]) -> str:
    """Return what a version does now, in words."""
    if row["fault"]:
        return f"cannot be read, {state_words(row | {'fault': None})}"
    if row["answers"] and row["promoted"]:
        return "answers"
    if row["answers"]:
        return "answers in place of the promoted one"
    if row["shadow"]:
        return "shadow"
    if row["promoted"]:
        return "promoted" if row["answers"] is None else "promoted, does not answer (see `appliance doctor`)"
    return {True: "loaded", False: "on disk", None: "on disk, Triton does not answer"}[row["loaded"]]


def threshold_words(row: dict[str, Any]) -> str:
    """Return the threshold by which a version is judged, and its own where that is another one."""
    in_force, own = row["threshold_in_force"], row["threshold"]
    if in_force is None:
        return str(own)
    with suppress(ValueError):  # of a version that cannot be read, or states no number
        if float(own) == in_force:
            return str(own)
    return f"{in_force} of the settings{f', its own {own}' if own else ''}"


@models_app.command()
def load(
    source: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER|VERSION",
            help="A model repository with a new version (`python -m conversion repository`), or a version that is here",
        ),
    ],
    settings: SettingsOption = None,
    by: ByOption = "",
    as_json: JsonOption = False,
) -> None:
    """Load a version beside the one that answers; it answers no study before it is promoted."""
    loaded = load_settings_or_exit(settings)
    with open_life(loaded, by) as life:
        folder = Path(source)
        model = life.bring_in(folder) if folder.is_dir() else life.shelf.version(source)
        say(f"version {model.facts.version} (sha256 {model.facts.sha256[:12]}…) is in {model.folder}")
        proven = life.load(model)
    _tell(proven, "is loaded and proven; `appliance models promote` lets it answer", as_json)
    _warn_of_full_precision(loaded, proven)


@models_app.command()
def promote(
    version: VersionArgument,
    settings: SettingsOption = None,
    by: ByOption = "",
    as_json: JsonOption = False,
    anyway: Annotated[
        str,
        typer.Option(
            metavar="REASON",
            help="Promote it even if it reads golden studies of the site otherwise than confirmed, or the threshold in "
            "the settings is not its own, and record why",
        ),
    ] = "",
) -> None:
    """Let a version answer from the next study on, if it proves itself, on the golden studies of the site too."""
    loaded = load_settings_or_exit(settings)
    with open_life(loaded, by) as life:
        proven = life.promote(life.shelf.version(version), anyway.strip(), say)
    _tell(proven, f"is promoted: {_await_takeover(loaded, proven)}", as_json)
    _warn_of_full_precision(loaded, proven)


@models_app.command()
def rollback(settings: SettingsOption = None, by: ByOption = "", as_json: JsonOption = False) -> None:
    """Let the version that answered before answer again, from the next study on."""
    loaded = load_settings_or_exit(settings)
    with open_life(loaded, by) as life:
        proven = life.rollback()
        judged = life.foreign_threshold(proven.model)
    _tell(proven, f"is back: {_await_takeover(loaded, proven)}", as_json)
    if judged:
        version = proven.model.facts.version
        say(f"version {version}: {judged}; unset finding.threshold and restart the service if its own should judge it")


@models_app.command()
def shadow(
    version: VersionArgument, settings: SettingsOption = None, by: ByOption = "", as_json: JsonOption = False
) -> None:
    """Let a version also read each answered study when there is nothing else to do; it delivers nothing."""
    with open_life(load_settings_or_exit(settings), by) as life:
        proven = life.shadow(life.shelf.version(version))
    _tell(proven, "is the shadow; `appliance models compare` says in what it disagrees", as_json)


@models_app.command()
def unshadow(settings: SettingsOption = None, by: ByOption = "") -> None:
    """End the shadow; its readings are kept."""
    with open_life(load_settings_or_exit(settings), by) as life:
        facts = life.end_shadow()
    out.print(f"version {facts.version} is the shadow no more", highlight=False)


@models_app.command()
def compare(
    version: Annotated[str, typer.Argument(metavar="[VERSION]", help="Default: the shadow, or the last one")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    examples: Annotated[int, typer.Option(min=0, help="How many of the studies that disagree to list")] = 10,
) -> None:
    """Show where a shadow version disagrees with the answers: studies, lesions, volumes, with examples."""
    from appliance.ledger.records import ModelEvent
    from appliance.models.comparison import comparison, comparison_rows, example_words

    with open_life(load_settings_or_exit(settings)) as life:
        if version:
            sha256 = life.shelf.version(version).facts.sha256
        else:
            shadows = [change for change in life.changes() if change.event is ModelEvent.SHADOWED]
            if not shadows:
                print_error("no version was a shadow yet: `appliance models shadow VERSION` makes it one")
                raise typer.Exit(FAILED)
            sha256 = shadows[-1].sha256
        document = comparison(life.pairs(sha256), examples)
    document = {"shadow_sha256": sha256, **document}
    if as_json:
        typer.echo(json.dumps(document, indent=2))
        return
    table = folding_table("", "")
    for row in comparison_rows(document):
        table.add_row(*row)
    out.print(table)
    for example in document["examples"]:
        out.print(example["study_uid"], markup=False, highlight=False, soft_wrap=True)
        out.print(f"  {example_words(example)}", markup=False, highlight=False, soft_wrap=True)


@models_app.command()
def unload(version: VersionArgument, settings: SettingsOption = None) -> None:
    """Have Triton free the memory of a version that does not answer; its files stay."""
    with open_life(load_settings_or_exit(settings)) as life:
        model = life.shelf.find(version)
        life.unload(model)
    out.print(f"version {model.facts.version} is unloaded", highlight=False)


@models_app.command()
def remove(
    version: VersionArgument,
    settings: SettingsOption = None,
    by: ByOption = "",
    yes: Annotated[bool, typer.Option("--yes", help="Remove without a question")] = False,
) -> None:
    """Remove a version's files from this machine, readable or not, if it is not loaded and may not answer."""
    with open_life(load_settings_or_exit(settings), by) as life:
        model = life.shelf.find(version)
        life.require_removable(model)
        if not yes:
            typer.confirm(f"remove {model.folder}?", abort=True)
        life.remove(model)
    out.print(f"version {model.facts.version} is removed", highlight=False)


@models_app.command()
def build(
    version: Annotated[
        str, typer.Argument(metavar="[VERSION]", help="Default: the version that came with the appliance")
    ] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
    anew: Annotated[bool, typer.Option("--anew", help="Build even if the right engine exists")] = False,
    precision: Annotated[str, typer.Option(help="fp16 or fp32")] = "fp16",
) -> None:
    """Build a version's TensorRT engine for the GPU of this machine, compare it, and say what it is."""
    from appliance.models.build import build as build_engine
    from appliance.models.build import engine_rows
    from appliance.models.shelf import Shelf

    loaded = load_settings_or_exit(settings)
    try:
        shelf = Shelf(loaded)
        model = shelf.version(version) if version else shelf.find_shipped()
        facts = build_engine(model, ["--precision", precision, *(["--anew"] if anew else [])], loaded.triton.builder)
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    table = folding_table("engine", "")
    for name, value in engine_rows(model.place, facts):
        table.add_row(name, value)
    out.print(table)


def answering_sha256(settings: Settings) -> str | None:
    """Return the sha256 of the model that the running service uses, None when the service does not answer."""
    address = f"http://{settings.service.host}:{settings.service.port}"
    try:
        with bounded_client(address, timeout_s=PATIENCE_S) as client:
            model = client.get("/status", params={"limit": 1}).raise_for_status().json()["model"]
            return str(model["sha256"]) if model else None
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return None


def _await_takeover(settings: Settings, proven: Proven) -> str:
    """Wait for the running service to use a version, and say whether it does."""
    sha256 = proven.model.facts.sha256
    end = time.monotonic() + _TAKEN_OVER_S
    while (answers := answering_sha256(settings)) != sha256:
        if answers is None:
            return "the service does not answer now, and reads with it from its next start on"
        if time.monotonic() > end:
            return "the service does not read with it yet; see `appliance models list` and `appliance doctor`"
        time.sleep(0.2)
    return "the service reads with it"


def _tell(proven: Proven, what: str, as_json: bool) -> None:
    facts = proven.model.facts
    if as_json:
        told = {"seconds_20_slices": proven.seconds, "away": list(proven.away), "said": what}
        typer.echo(json.dumps({**asdict(facts), **told}, indent=2))
    else:
        sentence = f"version {facts.version} {what} (20 slices in {proven.seconds:.2f} s)"
        out.print(sentence, markup=False, highlight=False, soft_wrap=True)
        for address in proven.away:
            sentence = f"Triton at {address} does not answer; it loads the version when it is back, before it answers"
            out.print(sentence, style="yellow", markup=False, highlight=False, soft_wrap=True)


def _warn_of_full_precision(settings: Settings, proven: Proven) -> None:
    """Say on standard error that a version is served slower than this CPU could, because the gate has not judged it."""
    if settings.triton.profile == "cpu" and not proven.model.judged:
        say(
            f"version {proven.model.facts.version} was laid out without the precision gate's verdict: it is served by "
            "onnxruntime-fp32 alone, slower than this CPU could (`python -m conversion precision`, then `repository "
            "--precision`)"
        )
