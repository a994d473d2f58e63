# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.fuzz --inputs 1000000`: spoiled DICOM files, headers and requests, with a progress bar."""

from __future__ import annotations

import resource
import time
import warnings
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tests.fuzz.campaign import Tally, campaign
from tests.fuzz.targets import TARGETS

app = typer.Typer(add_completion=False)


@app.command()
def main(
    inputs: Annotated[int, typer.Option(help="How many inputs to feed")] = 1_000_000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same inputs")] = 1,
    minutes: Annotated[float, typer.Option(help="End after this time at the latest; 0: feed all")] = 0,
    only: Annotated[str, typer.Option(help=f"One of {', '.join(TARGETS)}; by default all of them")] = "",
    keep: Annotated[Path, typer.Option(help="Folder for the findings")] = Path("var/fuzz"),
) -> None:
    """Feed the appliance's readers, writers and routes with spoiled input. Exit 0 when nothing was found, else 1."""
    warnings.simplefilter("ignore")  # pydicom tells of what was spoiled
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    began = time.monotonic()
    tallies: dict[str, Tally] = {}
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[found]} found"), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("", total=inputs, found=0)

        def print_report(done: int, found: int) -> bool:
            progress.update(task, completed=done, found=found)
            return not minutes or time.monotonic() < began + 60 * minutes

        done, found = campaign(inputs, seed, only, print_report, tallies)
    typer.echo(f"{done} inputs, {len(found)} findings, {(time.monotonic() - began) / 60:.1f} minutes, seed {seed}")
    for name, tally in tallies.items():
        what = f"{tally.inputs} inputs, {tally.found} findings, slowest {tally.slowest_ms:.0f} ms"
        typer.echo(f"  {name}: {what}, grew by {tally.grown_mib:.1f} MiB")
    usage = resource.getrusage(resource.RUSAGE_SELF)
    typer.echo(
        f"  processor time {(usage.ru_utime + usage.ru_stime) / 60:.1f} minutes, peak {usage.ru_maxrss >> 10} MiB"
    )
    for one in found:
        keep.mkdir(parents=True, exist_ok=True)
        (keep / one.name).write_bytes(one.data)
        typer.echo(f"{keep / one.name}\n  {one.error}\n  {one.where}")
    raise typer.Exit(1 if found else 0)


if __name__ == "__main__":
    app()
