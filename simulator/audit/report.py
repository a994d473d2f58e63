# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""All bars of an audit, as a table for a terminal or a document, as plain values, and as an exit status."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

import typer
from rich.table import Table

from simulator.audit.bars import (
    Bar,
    detector_bars,
    failure_bar,
    header_bars,
    image_bars,
    physics_bars,
    size_bars,
)
from simulator.audit.cases import Case
from simulator.audit.headers import header_features
from simulator.audit.reader_bars import reader_bars
from simulator.manifest import Entry, read, shipped_manifests
from simulator.recipes import draw_entries

BROKEN: Final = 1
"""Exit status when a bar is broken."""
_FRESH_SEED: Final = 8_500_000


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


def every_bar(found: Sequence[Case], failed: Mapping[str, str], fresh: int) -> list[Bar]:
    """Return every bar, of pairs, of the shipped cohorts' headers and of those of `fresh` drawn studies.

    Parameters
    ----------
    failed: what went wrong in the pairs that are not among `found`, by the name of the study with blood.
    """
    cohorts: dict[str, Sequence[Entry]] = {f"the {name} cohort": read(name) for name in shipped_manifests()}
    cohorts["drawn studies"] = draw_entries(fresh, _FRESH_SEED)
    headers = {name: (entries, header_features(entries)) for name, entries in cohorts.items()}
    return [
        failure_bar(found, failed),
        *header_bars(found, headers),
        *image_bars(found),
        *detector_bars(found),
        *physics_bars(found),
        *reader_bars(found),
        *size_bars(found, read("independent")),
    ]


def bar_values(bar: Bar) -> dict[str, object]:
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


def table(bars: Sequence[Bar]) -> Table:
    """Return the table of the bars for a terminal."""
    shown = Table("measured", "on", "figure", "allowed", "", title="audit of the simulator")
    for bar in bars:
        shown.add_row(
            bar.subject,
            str(bar.studies),
            f"{bar.value:.3g}",
            f"{bar.low:.3g} to {bar.high:.3g}",
            "holds" if bar.holds else "[bold red]BROKEN[/]",
        )
    return shown
