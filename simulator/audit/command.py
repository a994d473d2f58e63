# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator audit`: the bars as a table or as JSON, a page of plots, and an exit status.

The audit's classifiers need scikit-learn, which the training environment does without: it is imported when asked for.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console

from simulator.cohort import usable_cores
from simulator.manifest import Entry, read
from simulator.population import POPULATIONS
from simulator.progress import progress_bar
from simulator.recipes import pairs

if TYPE_CHECKING:
    from simulator.audit.cases import Case

MATRIX: Final = 256
"""Rows and columns of the audit's slices: half the usual, as statistics need no more, at less of the cost."""
FEWEST: Final = 10
"""Studies that the classifiers can be cross-validated on: a pair in each of five folds."""
_FRESH: Final = 5  # for each audited study so many drawn ones whose headers are looked at: of 2,000, chance moves 0.013


def audit(
    studies: Annotated[
        int,
        typer.Option(min=FEWEST, help="How many; half of them bleed, each of the others is one of those without."),
    ] = 400,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for audit.json, audit.md and audit.png, and for pairs as they are measured."),
    ] = None,
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

    With --out each pair is kept as soon as it is measured, and a run that is stopped goes on where it was when it is
    started again, with more studies too. A pair that cannot be made is named, stops no other, and breaks a bar.

    Example: python -m simulator audit --studies 400 --out var/audit
    """
    if population is not None and population not in POPULATIONS:
        raise typer.BadParameter(f"a population is one of {', '.join(POPULATIONS)}", param_hint="--population")
    from simulator.audit.page import draw
    from simulator.audit.report import bar_values, conclude, every_bar, markdown, table

    entries = pairs(studies // 2, None if population is None else POPULATIONS[population])
    found, failed = measured_pairs(entries, out, matrix, workers or usable_cores())
    if 2 * len(found) < FEWEST:
        for name, error in failed.items():
            typer.echo(f"failed: {name}: {error}", err=True)
        typer.echo(f"only {len(found)} of {len(entries)} pairs could be made: too few to judge", err=True)
        raise typer.Exit(1)
    bars = every_bar(found, failed, _FRESH * studies)
    report = json.dumps({"pairs": len(found), "failed": failed, "bars": [bar_values(bar) for bar in bars]}, indent=2)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "audit.json").write_text(report + "\n", encoding="utf-8")
        (out / "audit.md").write_text(markdown(bars), encoding="utf-8")
        draw(out / "audit.png", found, bars, read("independent"))
    if as_json:
        typer.echo(report)
    else:
        Console().print(table(bars))
    conclude(bars)


def measured_pairs(
    entries: tuple[Entry, ...], out: Path | None, matrix: int, workers: int
) -> tuple[list[Case], dict[str, str]]:
    """Return the measured pairs in the entries' order, and what went wrong in the others by name.

    Raises
    ------
    typer.BadParameter
        If `out` holds pairs of another simulator or matrix.
    """
    from simulator.audit.cases import cases
    from simulator.audit.kept import claim, keep, read_kept

    try:
        folder = None if out is None else claim(out, matrix=matrix)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--out") from error
    found = {} if folder is None else {case.entry: case for case in read_kept(entries, folder)}
    failed: dict[str, str] = {}
    missing = [entry for entry in entries if entry not in found]
    with progress_bar(Console(stderr=True)) as progress:
        bar = progress.add_task("simulating pairs", total=len(entries), completed=len(found))
        for entry, case in cases(missing, matrix=matrix, workers=workers):
            if isinstance(case, str):
                failed[entry.name] = case
                progress.console.print(f"failed: {entry.name} ({entry.population}): {case}", markup=False)
            else:
                found[entry] = case
                if folder is not None:
                    keep(case, folder)
            progress.advance(bar)
    return [found[entry] for entry in entries if entry in found], failed
