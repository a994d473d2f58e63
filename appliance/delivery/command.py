# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance rules` and `appliance outbox`: what the rules do with a study, and which deliveries wait."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from appliance.clocks import iso
from appliance.console import (
    JsonOption,
    SettingsOption,
    faults_end_the_command,
    folding_table,
    load_settings_or_exit,
    out,
    say,
)
from appliance.delivery.rules import Rules, Verdict, all_planned
from appliance.delivery.variables import values_of
from appliance.errors import ApplianceError
from appliance.ledger.command import open_ledger
from appliance.ledger.records import Delivery, Job
from appliance.ledger.states import DeliveryState, JobState
from appliance.models.opening import require_owner, user_here
from appliance.models.standing import ledger_file
from appliance.settings import Settings

if TYPE_CHECKING:
    from appliance.ledger.ledger import Ledger

rules_app = typer.Typer(no_args_is_help=True, help="The site's rules: are they right, and what does each do?")
outbox_app = typer.Typer(no_args_is_help=True, help="What waits to be delivered, and what could not be.")

_OPEN = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.REJECTED, DeliveryState.EXPIRED)
"""What somebody may have to look at."""


@rules_app.command("check")
def check_rules(settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Check the rules and say what each does. Exit 2 if one is wrong, with its line."""
    loaded = load_settings_or_exit(settings)
    if as_json:
        typer.echo(json.dumps([one.model_dump(mode="json") for one in loaded.rules], indent=2))
        return
    table = folding_table("", "rule", "when", "does")
    for number, rule in enumerate(loaded.rules, start=1):
        does = [
            f"mark {one.mark}" if one.mark else f"{', '.join(one.send) or 'message'} > {one.to}" for one in rule.actions
        ]
        does += ["first"] * rule.first + ["last"] * rule.last
        table.add_row(str(number), escape(rule.name), escape(" ".join(rule.when.split())), escape("; ".join(does)))
    out.print(table)
    used = {action.to for rule in loaded.rules for action in rule.actions}
    for name in loaded.destinations:
        if name not in used:
            say(f"no rule names the destination {name}")
    say(f"{len(loaded.rules)} rules, all right")


@rules_app.command("test")
def show_verdicts(
    study: Annotated[str, typer.Argument(help="Study Instance UID, or Orthanc's identifier of the study")],
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say what each rule does with the newest answer about a study, and why. Nothing is delivered."""
    loaded = load_settings_or_exit(settings)
    with faults_end_the_command(), open_ledger(loaded) as ledger:
        job = _newest_answer(ledger, study)
        values, verdicts = _judge(loaded, ledger, job)
        delivered = ledger.outbox.deliveries(study_uid=job.study_uid, limit=1000)
    if as_json:
        told = {
            "study_uid": job.study_uid,
            "job": job.id,
            "values": values,
            "rules": [asdict(verdict) for verdict in verdicts],
            "planned": [asdict(one) for one in all_planned(verdicts)],
            "outbox": [_entry(one) for one in delivered],
        }
        typer.echo(json.dumps(told, indent=2))
        return
    out.print(f"answer {job.id} about study {job.study_uid}", markup=False, highlight=False, soft_wrap=True)
    table = folding_table("rule", "", "why", "does")
    for verdict in verdicts:
        sends = [f"{', '.join(one.content) or 'message'} > {one.destination}" for one in verdict.planned]
        does = "; ".join([*sends, *(f"mark {word}" for word in verdict.marks)])
        state = {True: "[green]yes[/]", False: "no", None: "[dim]-[/]"}[verdict.holds]
        table.add_row(
            escape(verdict.rule), "[red]error[/]" if verdict.error else state, escape(verdict.why), escape(does)
        )
    out.print(table)
    known = folding_table("variable", "value")
    for name, value in values.items():
        known.add_row(name, escape(json.dumps(value, ensure_ascii=False)))
    out.print(known)
    for one in delivered:
        if one.job == job.id:
            say(f"in the outbox: {one.destination}, {', '.join(one.content) or 'message'}: {one.state}")


@outbox_app.command("list")
def list_outbox(
    everything: Annotated[bool, typer.Option("--all", help="Delivered and superseded ones too")] = False,
    to: Annotated[str, typer.Option(help="Only those to this destination")] = "",
    study: Annotated[str, typer.Option(help="Only those about this Study Instance UID")] = "",
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="How many of the newest")] = 100,
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List deliveries that wait or were given up, newest first."""
    with faults_end_the_command(), open_ledger(load_settings_or_exit(settings)) as ledger:
        found = ledger.outbox.deliveries(() if everything else _OPEN, to, study, limit)
    if as_json:
        typer.echo(json.dumps([_entry(one) for one in found], indent=2))
        return
    table = folding_table("number", "to", "what", "rule", "study", "state", "tries", "next (UTC)", "why")
    for one in found:
        next_try = iso(one.next_try)[:19] if one.state is DeliveryState.WAITING and one.next_try else ""
        columns = (one.destination, ", ".join(one.content) or "message", one.rule, one.study_uid, one.state.value)
        table.add_row(str(one.id), *map(escape, columns), str(one.tries), next_try, escape(one.error or one.receipt))
    out.print(table)
    say(f"{len(found)} deliveries")


@outbox_app.command("retry")
def retry_outbox(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of deliveries (`appliance outbox list`)")] = None,
    to: Annotated[str, typer.Option(help="All to this destination that wait or were given up")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try deliveries now, also those that were rejected, given up or dropped."""
    with faults_end_the_command(), _writable_ledger(load_settings_or_exit(settings)) as ledger:
        given_up = (DeliveryState.WAITING, DeliveryState.REJECTED, DeliveryState.EXPIRED)
        done = [ledger.outbox.retry(one) for one in _chosen(ledger, numbers, to, given_up)]
    _tell(done, "to be tried now", as_json)


@outbox_app.command("drop")
def drop_outbox(
    numbers: Annotated[list[int] | None, typer.Argument(help="Numbers of deliveries (`appliance outbox list`)")] = None,
    to: Annotated[str, typer.Option(help="All to this destination that wait or were given up")] = "",
    settings: SettingsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take deliveries out: they are not delivered. The audit trail says who did it."""
    with faults_end_the_command(), _writable_ledger(load_settings_or_exit(settings)) as ledger:
        given_up = (DeliveryState.WAITING, DeliveryState.REJECTED, DeliveryState.EXPIRED)
        done = [ledger.outbox.drop(one, user_here()) for one in _chosen(ledger, numbers, to, given_up)]
    _tell(done, "dropped", as_json)


@contextmanager
def _writable_ledger(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger for writing. Raises `ApplianceError` for root, if it is another user's."""
    require_owner(ledger_file(settings), "outbox")
    with open_ledger(settings) as ledger:
        yield ledger


def _chosen(ledger: Ledger, numbers: list[int] | None, to: str, states: tuple[DeliveryState, ...]) -> list[int]:
    """Return the named deliveries. Raises `ApplianceError` for an unknown number, or if none is named."""
    if bool(numbers) == bool(to):
        raise ApplianceError("name deliveries by number, or all of a destination by --to")
    if to:
        return [one.id for one in reversed(ledger.outbox.deliveries(states, to, limit=1_000_000))]
    for number in numbers or ():
        if ledger.outbox.delivery(number) is None:
            raise ApplianceError(f"there is no delivery {number}; `appliance outbox list --all` shows them")
    return list(numbers or ())


def _tell(done: list[Delivery], what: str, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([_entry(one) for one in done], indent=2))
    else:
        say(f"{len(done)} deliveries {what}")


def _entry(delivery: Delivery) -> dict[str, Any]:
    """Return a delivery as plain JSON."""
    times = {name: iso(getattr(delivery, name)) for name in ("since", "created")}
    next_try = iso(delivery.next_try) if delivery.next_try else None
    told = asdict(delivery) | times | {"next_try": next_try, "content": list(delivery.content)}
    return {name: value for name, value in told.items() if name not in ("owner", "lease_until")}


def _newest_answer(ledger: Ledger, study: str) -> Job:
    """Return the newest valid answer about a study. Raises `ApplianceError` when there is none."""
    ended = (JobState.DONE, JobState.REFUSED)
    jobs = ledger.views.jobs_of(study)
    found = [job for job in jobs if job.state in ended]
    if not found:
        known = "it has no answer yet" if jobs else "the ledger does not know it"
        raise ApplianceError(f"study {study}: {known}")
    return found[-1]


def _judge(settings: Settings, ledger: Ledger, job: Job) -> tuple[dict[str, Any], list[Verdict]]:
    from appliance.delivery.situation import situation, time_zone
    from appliance.orthanc import Orthanc

    orthanc = Orthanc(settings.orthanc)
    try:
        values = values_of(situation(job, orthanc, ledger, time_zone(settings.delivery.time_zone)))
    finally:
        orthanc.close()
    return values, Rules(settings.rules).judge(values)
