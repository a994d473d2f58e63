# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.objective`: the alerts of the objective fire and end in a run with a real Prometheus, recorded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from deploy.grafana import picture
from tests.hospital_day.__main__ import KEPT
from tests.hospital_day.studies import plan_day, scan_heads
from tests.objective.record import draw, figures, markdown
from tests.objective.run import Asked, faults, hold
from tests.objective.watching import Watching

ROOT = Path(__file__).parents[2]
_SLICES = 32
_SEED = 1


def main(
    out: Annotated[Path, typer.Option(help="Folder for record.json, record.md and the pictures")] = Path(
        "var/objective"
    ),
    factor: Annotated[float, typer.Option(min=1, max=60, help="By what the rules' spans of time are divided")] = 12,
    every: Annotated[float, typer.Option(min=1, help="A head comes every so many seconds")] = 12,
    before: Annotated[float, typer.Option(min=0.5, help="Minutes before Triton is killed")] = 3,
    away: Annotated[float, typer.Option(min=1.5, help="Minutes for which it stays away")] = 2.5,
    after: Annotated[float, typer.Option(min=0, help="Minutes after the alert has ended")] = 2,
    patience: Annotated[float, typer.Option(min=1, help="Most minutes to wait for the alert's end")] = 15,
) -> None:
    """Let Triton be away while heads come, until the objective's page has fired and ended. Exit 1 on a fault.

    With --factor 1 everything takes as long as it does on a site: hours.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of everything that is to be stopped
    console = Console(stderr=True)
    asked = Asked(factor, every, before, away, after, patience)
    most = int(60 * (before + away + after + 2 * patience) / every)
    plan = plan_day(most, max(2, most // 8), 2, 1, _SEED, _SLICES)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("scanning the heads")
        scan_heads(plan, KEPT, os.cpu_count() or 1, lambda done, of: progress.update(bar, completed=done, total=of))
    out.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    def draw_dashboard(watching: Watching, span_s: float) -> None:
        source = picture.Source(watching.prometheus, span_s, rate_s=60)
        picture.draw(source, out / "dashboard.png", f"Hemorrhage appliance, {span_s / 60:.0f} minutes, simulated heads")

    def say(said: str) -> None:
        console.print(said, style="dim", highlight=False)

    with tempfile.TemporaryDirectory(prefix="objective-") as work:
        seen = hold(plan, KEPT, Path(work), asked, say, draw_dashboard)
    told = figures(seen, asked, commit.stdout.strip())
    (out / "record.json").write_text(json.dumps(told, indent=1) + "\n")
    (out / "record.md").write_text(markdown(seen, asked))
    draw(seen, asked, out / "objective.png")
    print(markdown(seen, asked))
    for fault in faults(seen):
        console.print(fault, style="red", highlight=False)
    raise typer.Exit(1 if faults(seen) else 0)


if __name__ == "__main__":
    typer.run(main)
