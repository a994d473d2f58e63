# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.chaos --studies N --seed S`: the appliance under fire, and what became of each study."""

from __future__ import annotations

import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.local import orthanc
from tests.chaos.faults import FAULTS
from tests.chaos.storm import run
from tests.newer_orthanc import write_launcher

app = typer.Typer(add_completion=False)


@app.command()
def main(
    studies: Annotated[int, typer.Option(min=1, max=1000, help="How many studies to send")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed makes the same studies, senders and faults")] = 1,
    postgres: Annotated[bool, typer.Option(help="Keep the ledger in a new PostgreSQL, not in SQLite")] = False,
    faults: Annotated[int | None, typer.Option(min=0, help="Faults to make; by default one per 5 studies")] = None,
    minutes: Annotated[float, typer.Option(help="Send no further study after this time; 0: send all")] = 0,
    only: Annotated[
        str, typer.Option(help=f"Faults to make, separated by commas; by default all of {', '.join(FAULTS)}")
    ] = "",
    orthanc_tree: Annotated[
        Path | None,
        typer.Option(
            "--orthanc",
            exists=True,
            file_okay=False,
            help="A Debian 13 (tests.newer_orthanc): its Orthanc, no plugin",
        ),
    ] = None,
    report: Annotated[Path | None, typer.Option("--json", help="File for the results, as JSON")] = None,
) -> None:
    """Send studies while the appliance's parts are killed, paused, cut off and taken away; exit 1 unless all is well.

    The order of faults and the studies follow from the seed; how they meet does not.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of everything that is to be stopped

    def note(seen: dict[str, Any]) -> None:
        if report is not None:
            report.write_text(json.dumps(seen, indent=2) + "\n")

    chosen = tuple(name.strip() for name in only.split(",") if name.strip())
    if unknown := set(chosen) - set(FAULTS):
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: not one of {', '.join(FAULTS)}")
    with tempfile.TemporaryDirectory(prefix="chaos-orthanc-") as folder:
        if orthanc_tree is not None:
            orthanc.PROGRAM = write_launcher(orthanc_tree.resolve(), Path(folder))
        doorbell = orthanc_tree is None  # Debian 12's Python plugin does not load there
        seen = run(
            studies,
            seed,
            only=chosen,
            faults=faults,
            on_postgres=postgres,
            doorbell=doorbell,
            minutes=minutes,
            note=note,
        )
    note(seen)
    _print(seen)
    if not is_well(seen):
        raise typer.Exit(1)


def is_well(seen: dict[str, Any]) -> bool:
    """Return whether every study was confirmed and has what it should, and nothing is left over."""
    all_sent = seen["confirmed"] == seen["studies"] == seen["asked"]
    return all_sent and seen["settled"] and not seen["wrong_studies"] and not seen["shared_memory_left"]


def _print(seen: dict[str, Any]) -> None:
    out = Console(highlight=False)
    table = Table("what", "seen")
    for name, value in seen.items():
        if name in ("wrong_studies", "burdens"):
            continue
        words = ", ".join(f"{key} {number}" for key, number in value.items()) if isinstance(value, dict) else str(value)
        table.add_row(name.replace("_", " "), words)
    table.add_row("faults survived", str(sum(seen["faults"].values())))
    out.print(table)
    for uid, faults in seen["wrong_studies"].items():
        out.print(f"{uid}: {'; '.join(faults)}", style="red")


if __name__ == "__main__":
    app(prog_name="python -m tests.chaos")
