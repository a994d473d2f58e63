# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.install`: a fresh Debian 12, from the bundle to the first SR and on to the purge, as root."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from tests.install.life import run
from tests.stepwise import TrialStep

app = typer.Typer(add_completion=False)
out = Console(highlight=False, width=140)


@app.command()
def main(
    kept: Annotated[Path, typer.Option(help="Folder for what later runs may use again: the Debian, downloads")] = Path(
        "var/install"
    ),
    short: Annotated[bool, typer.Option(help="Install, read a study and purge; nothing between")] = False,
    former: Annotated[str, typer.Option("--from", help="A commit or tag from which an upgrade is tried too")] = "",
    online: Annotated[bool, typer.Option(help="Install from Debian and PyPI too, on this network")] = False,
    report: Annotated[Path | None, typer.Option("--json", help="File for the results, as JSON")] = None,
) -> None:
    """Install, kill, reboot, upgrade, roll back and remove the appliance on a fresh machine; exit 1 on a fault."""
    missing = [name for name in ("debootstrap", "systemd-nspawn", "storescu") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        out.print(
            f"this needs root and {', '.join(missing) or 'nothing else'}: apt-get install debootstrap "
            "systemd-container dcmtk",
            style="red",
        )
        raise typer.Exit(2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # by way of everything that is to be removed
    kept = kept.absolute()
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=kept, prefix="trial-") as work:
        steps = run(Path(work), kept, _print, short=short, former=former, online=online)
    table = Table("step", Column("minutes", justify="right"), "", "seen")
    for step in steps:
        table.add_row(
            step.name, f"{step.seconds / 60:.1f}", "well" if step.well else "[red]WRONG[/red]", step.seen[:300]
        )
    out.print(table)
    if report is not None:
        report.write_text(json.dumps([asdict(step) for step in steps], indent=2) + "\n")
    raise typer.Exit(0 if all(step.well for step in steps) else 1)


def _print(step: TrialStep) -> None:
    out.print(f"{'well ' if step.well else 'WRONG'} {step.seconds:6.0f} s  {step.name}: {step.seen}", markup=False)


if __name__ == "__main__":
    app(prog_name="python -m tests.install")
