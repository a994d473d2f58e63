# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m training.simulator audit`: the bars as a table or as JSON, a page of plots, and an exit status."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from training.simulator.audit.bars import Bar, detector_bars, header_bars, image_bars, physics_bars, size_bars
from training.simulator.audit.cases import MATRIX, Case, cases
from training.simulator.audit.classifiers import FOLDS
from training.simulator.audit.headers import planned_features
from training.simulator.audit.page import draw
from training.simulator.cohort import usable_cores
from training.simulator.manifest import Entry, read, shipped
from training.simulator.population import POPULATIONS
from training.simulator.recipes import drawn, pairs

BROKEN: Final = 1
"""Exit status when a bar is broken."""
_FRESH: Final = 5  # for each audited study so many drawn ones whose headers are looked at: of 2,000, chance moves 0.013
_FRESH_SEED: Final = 8_500_000


def audit(
    studies: Annotated[
        int,
        typer.Option(min=2 * FOLDS, help="How many; half of them bleed, each of the others is one of those without."),
    ] = 400,
    out: Annotated[Path | None, typer.Option(help="Folder for audit.json, audit.md and audit.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    population: Annotated[
        str | None,
        typer.Option(help=f"Only this one: {', '.join(POPULATIONS)}. Training's and the realistic by turns."),
    ] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. One a core if not given.")] = None,
    matrix: Annotated[int, typer.Option(min=128, max=512, help="Rows and columns of the audited slices.")] = MATRIX,
) -> None:
    """Try to tell who bleeds without seeing the blood, and measure the simulator against the literature.

    Headers alone, and the image with the bleed masked out, must leave small classifiers at an AUC of 0.45 to 0.55; the
    largest piece above 60 HU must stay far below the paper's network; tissue, noise, edges, sizes and types must be
    where the literature has them. A broken bar is named, with what told most, and the exit status is 1. Fewer studies
    widen a range only by what chance does to so few.

    Example: python -m training.simulator audit --studies 400 --out var/audit
    """
    if population is not None and population not in POPULATIONS:
        raise typer.BadParameter(f"a population is one of {', '.join(POPULATIONS)}", param_hint="--population")
    entries = pairs(studies // 2, None if population is None else POPULATIONS[population])
    console = Console(stderr=True)
    found = list(
        track(
            cases(entries, workers=workers or usable_cores(), matrix=matrix),
            "simulating pairs",
            total=len(entries),
            console=console,
        )
    )
    bars = audited(found, _FRESH * studies)
    report = json.dumps({"pairs": len(found), "bars": [stated(bar) for bar in bars]}, indent=2)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "audit.json").write_text(report + "\n", encoding="utf-8")
        (out / "audit.md").write_text(markdown(bars), encoding="utf-8")
        draw(out / "audit.png", found, bars, read("independent"))
    if as_json:
        typer.echo(report)
    else:
        Console().print(_table(bars))
    conclude(bars)


def conclude(bars: Sequence[Bar]) -> None:
    """Name the broken bars, and end with the status that says so.

    Raises
    ------
    typer.Exit
        If any bar is broken.
    """
    broken = [bar for bar in bars if not bar.holds]
    for bar in broken:
        typer.echo(
            f"BROKEN: {bar.subject} is {bar.value:.4g}, not {bar.low:.4g} to {bar.high:.4g}. {bar.note}", err=True
        )
    if broken:
        raise typer.Exit(BROKEN)


def audited(found: Sequence[Case], fresh: int) -> list[Bar]:
    """Return every bar, of pairs, of the shipped cohorts' headers and of those of `fresh` drawn studies."""
    cohorts: dict[str, Sequence[Entry]] = {f"the {name} cohort": read(name) for name in shipped()}
    cohorts["drawn studies"] = drawn(fresh, _FRESH_SEED)
    headers = {name: (entries, planned_features(entries)) for name, entries in cohorts.items()}
    return [
        *header_bars(found, headers),
        *image_bars(found),
        *detector_bars(found),
        *physics_bars(found),
        *size_bars(found, read("independent")),
    ]


def stated(bar: Bar) -> dict[str, object]:
    """Return a bar as plain values."""
    return dataclasses.asdict(bar) | {"holds": bar.holds}


def markdown(bars: Sequence[Bar]) -> str:
    """Return the table of the bars for a document."""
    lines = ["| measured | on | figure | allowed | |", "|---|---|---|---|---|"]
    lines += [
        f"| {bar.subject} | {bar.studies} | {bar.value:.3g} | {bar.low:.3g} to {bar.high:.3g} | "
        f"{'holds' if bar.holds else '**broken**'} |"
        for bar in bars
    ]
    return "\n".join(lines) + "\n"


def _table(bars: Sequence[Bar]) -> Table:
    """Return the table of the bars for a terminal."""
    table = Table("measured", "on", "figure", "allowed", "", title="audit of the simulator")
    for bar in bars:
        table.add_row(
            bar.subject,
            str(bar.studies),
            f"{bar.value:.3g}",
            f"{bar.low:.3g} to {bar.high:.3g}",
            "holds" if bar.holds else "[bold red]BROKEN[/]",
        )
    return table
