# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.hospital_day`: a day in a hospital in ten minutes, and what became of its reading list."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from tests.hospital_day.board import take_pictures
from tests.hospital_day.day import run_day
from tests.hospital_day.hospital import open_hospital
from tests.hospital_day.result import figures, markdown, table
from tests.hospital_day.studies import HEALTHY_HEADS, plan_day, scan_heads

KEPT = Path(__file__).parents[2] / "var" / "hospital-day"
app = typer.Typer(add_completion=False)


def hold_day(
    asked: dict[str, Any],
    folder: Path,
    kept: Path,
    console: Console,
    pictures: Path | None = None,
    healthy_heads: int = HEALTHY_HEADS,
) -> dict[str, Any]:
    """Hold a day and return its figures; heads that `kept` does not hold are scanned before it begins."""
    plan = plan_day(
        asked["studies"],
        asked["positives"],
        asked["priors"],
        asked["minutes"],
        asked["seed"],
        asked["slices"],
        healthy_heads,
    )
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("scanning the heads")
        scan_heads(plan, kept, os.cpu_count() or 1, lambda done, of: progress.update(bar, completed=done, total=of))
    every_s = 15 if asked["minutes"] >= 5 else 1
    with open_hospital(folder, every_s) as hospital:
        day = run_day(
            hospital,
            plan,
            kept,
            folder / "studies",
            asked["minutes"],
            asked["pacs_down"],
            lambda said: console.print(said, style="dim", highlight=False),
        )
        if pictures is not None:
            take_pictures(hospital.local.service.url, pictures)
        return figures(hospital, day, asked)


@app.command()
def main(
    studies: Annotated[int, typer.Option(min=1, max=1000, help="Studies of the day")] = 60,
    minutes: Annotated[float, typer.Option(min=0.1, max=600, help="How long they keep coming, min")] = 10,
    positives: Annotated[int, typer.Option(min=0, help="Studies with a hemorrhage")] = 7,
    priors: Annotated[int, typer.Option(min=0, help="Those of them whose patient was scanned the day before")] = 2,
    seed: Annotated[int, typer.Option(help="The same seed makes the same day")] = 1,
    pacs_down: Annotated[float, typer.Option(min=0, help="How long the PACS is away, min")] = 3,
    read_minutes: Annotated[float, typer.Option(min=0.1, help="Time to read a study, of the model, min")] = 9,
    day_hours: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            help="Hours over which the day is stretched for the model; by default they read for nine tenths of it",
        ),
    ] = None,
    slices: Annotated[int, typer.Option(min=10, max=200, help="Slices of each study")] = 32,
    pictures: Annotated[Path | None, typer.Option(help="Folder for pictures of the board at the end")] = None,
    report: Annotated[Path | None, typer.Option("--json", help="File for the figures, as JSON")] = None,
    to_markdown: Annotated[Path | None, typer.Option("--markdown", help="File for the table, as Markdown")] = None,
) -> None:
    """Hold a day: two scanners, a PACS that goes away, a RIS, a mail server and Prometheus. Exit 1 on a fault.

    A fault is an answer or message that was lost, came twice or after a less urgent one, or an alert without a cause.
    """
    if positives > studies or priors > positives:
        raise typer.BadParameter("there are at most as many positives as studies, and as many priors as positives")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of everything that is to be stopped
    console = Console(stderr=True)
    asked = {
        "studies": studies,
        "minutes": minutes,
        "positives": positives,
        "priors": priors,
        "seed": seed,
        "pacs_down": pacs_down,
        "read_minutes": read_minutes,
        "day_hours": round(studies * read_minutes / 54, 2) if day_hours is None else day_hours,
        "slices": slices,
    }
    with tempfile.TemporaryDirectory(prefix="hospital-day-") as work:
        seen = hold_day(asked, Path(work), KEPT, console, pictures)
    if report is not None:
        report.write_text(json.dumps(seen, indent=2) + "\n")
    if to_markdown is not None:
        to_markdown.write_text(markdown(seen))
    Console().print(table(seen))
    for fault in seen["faults"]:
        console.print(fault, style="red", highlight=False)
    if seen["faults"]:
        raise typer.Exit(1)


if __name__ == "__main__":
    app(prog_name="python -m tests.hospital_day")
