# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`appliance drift`: do the studies still look as those on which the model is known to do well?"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from appliance.clocks import iso
from appliance.console import (
    FAILED,
    JsonOption,
    SettingsOption,
    faults_end_the_command,
    folding_table,
    load_settings_or_exit,
    out,
    print_error,
    say,
)
from appliance.ledger.command import open_ledger

if TYPE_CHECKING:
    from appliance.drift.watch import Look

drift_app = typer.Typer(invoke_without_command=True)


@drift_app.callback()
def show(context: typer.Context, settings: SettingsOption = None, as_json: JsonOption = False) -> None:
    """Compare the newest answered studies with the reference of the model: images, scanners, answers.

    Exit 0 compared (whatever differs), 1 not, because there is no reference or too few studies.
    """
    if context.invoked_subcommand:
        return
    from appliance.drift.watch import look

    with faults_end_the_command():
        loaded = load_settings_or_exit(settings)
        with open_ledger(loaded) as ledger:
            seen = look(loaded, ledger)
    document = _document(seen)
    if as_json:
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(document)
    if not seen.comparisons:
        print_error(f"nothing was compared: {seen.unusable}")
        raise typer.Exit(FAILED)


@drift_app.command()
def freeze(
    studies: Annotated[int, typer.Option(min=50, help="How many of the newest answered studies")] = 200,
    settings: SettingsOption = None,
) -> None:
    """Make the newest answered studies the reference from now on, for the model that read them.

    First compare its answers on them with the radiologists' reports: what is frozen counts as right.
    """
    from appliance.drift.reference import Provenance, Reference, frozen_path, save
    from appliance.drift.watch import look

    with faults_end_the_command():
        loaded = load_settings_or_exit(settings)
        with open_ledger(loaded) as ledger:
            seen = look(loaded, ledger, studies)
            now = ledger.clock()
        if len(seen.studies) < studies:
            print_error(
                f"{len(seen.studies)} of the newest {studies} answered studies were measured and read by the model "
                "that answers now; wait for more, or take fewer with --studies"
            )
            raise typer.Exit(FAILED)
        first, last = (iso(at)[:10] for at in (seen.studies[0][0], seen.studies[-1][0]))
        population = f"{studies} studies of this site, {first} to {last}"
        made = Provenance(iso(now), population, f"appliance drift freeze --studies {studies}")
        path = frozen_path(loaded, seen.sha256)
        save(Reference(seen.sha256, made, tuple(row for _, row in seen.studies)), path)
    say(f"{path}: {made.population}; the service compares with it within a minute")


def _document(seen: Look) -> dict[str, Any]:
    """Return what is known, as plain JSON; the farthest beyond its limit comes first."""
    newest = seen.studies[-seen.compared :] if seen.compared else ()
    order = sorted(seen.comparisons, key=lambda one: one.distance - one.limit, reverse=True)
    features = []
    for one in order:
        since = seen.since(one) if one.differs else None
        features.append(
            {
                "what": one.feature.name,
                "meaning": one.feature.meaning,
                "side": one.feature.side.value,
                "differs": one.differs,
                "distance": round(one.distance, 4),
                "limit": round(one.limit, 4),
                "reference": one.was,
                "now": one.now,
                "since": None if since is None else iso(since),
                "look_at": one.feature.look,
            }
        )
    return {
        "model": {"version": seen.version, "sha256": seen.sha256},
        "reference": None
        if seen.reference is None
        else {"studies": len(seen.reference.rows), **asdict(seen.reference.provenance)},
        "studies": seen.compared,
        "from": iso(newest[0][0]) if newest else None,
        "to": iso(newest[-1][0]) if newest else None,
        "features": features,
    }


def _print(document: dict[str, Any]) -> None:
    reference = document["reference"]
    if reference:
        say(f"reference: {reference['population']} ({reference['command']}, {reference['made']})")
    if not document["features"]:
        return
    say(f"compared: the newest {document['studies']} studies, {document['from']} to {document['to']}")
    table = folding_table("what", "reference", "now", "distance", "limit", "since", "look at")
    for row in document["features"]:
        differs = row["differs"]
        cells = (
            f"{row['what']}: {row['meaning']}",
            row["reference"],
            row["now"],
            f"{row['distance']:.2f}",
            f"{row['limit']:.2f}",
            (row["since"] or "before the oldest study") if differs else "",
            row["look_at"] if differs else "",
        )
        table.add_row(*map(escape, cells), style="yellow" if differs else "")
    out.print(table)
    number = sum(row["differs"] for row in document["features"])
    out.print(f"{number} of {len(document['features'])} features differ from the reference", highlight=False)
