# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""All timings of docs/performance.md that need a machine without other work, in one run of about a quarter of an hour.

    python -m benchmarks.quiet --out var/quiet

Each part is a benchmark of its own, in a process of its own. Its figures are kept in a file, with the date, the CPU and
how many cores were busy before it began; a part that is there already is not run again, so a stopped run continues, and
`--parts` runs some of them. At the end all that is there becomes `tables.md`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from benchmarks import load, network, turnaround
from conversion.triton_model import cpu_flags

TABLES: Final = "tables.md"
_QUIET: Final = 0.25
"""How many cores are busy on a machine that does nothing else, at most."""
_LOOKED_S: Final = 3.0
"""How long they are counted before a part, s. The load average would still tell of the part before."""


@dataclass(frozen=True)
class Part:
    """A benchmark: what runs it, about how long it takes on two quiet cores, s, and what shows its figures.

    `needs` is a flag of /proc/cpuinfo without which it would only repeat another part.
    """

    name: str
    command: tuple[str, ...]
    seconds: float
    tables: Callable[[dict[str, Any]], Iterable[Table]]
    needs: str = ""


def _module(name: str, *options: str) -> tuple[str, ...]:
    return (sys.executable, "-m", f"benchmarks.{name}", *options, "--json")


PARTS: Final = (
    Part("network", _module("network"), 180, network.tables),
    Part("network-avx2", _module("network", "--isa", "AVX2"), 210, network.tables, needs="avx512f"),
    Part("turnaround", _module("turnaround", "--studies", "6"), 120, lambda figures: [turnaround.table(figures)]),
    Part(
        "load",
        _module("load", "--senders", "1,5,10,25,50", "--repeats", "1"),
        420,
        lambda figures: [load.table(figures)],
    ),
)

_ALL: Final = ",".join(one.name for one in PARTS)


def run(parts: Sequence[Part], out: Path, console: Console) -> list[str]:
    """Run the parts whose figures `out` lacks, and return the names of those that failed."""
    out.mkdir(parents=True, exist_ok=True)
    possible = [part for part in parts if not part.needs or part.needs in cpu_flags()]
    lacking = [part for part in possible if load_kept(part, out) is None]
    left = sum(part.seconds for part in lacking)
    failed = []
    for number, part in enumerate(lacking, 1):
        console.print(f"{number} of {len(lacking)}: {part.name}; about {left / 60:.0f} minutes left")
        left -= part.seconds
        busy, began = busy_cores(_LOOKED_S), time.monotonic()
        if busy > _QUIET:
            console.print(f"{busy:.1f} cores are busy: the machine is not quiet, and the table will say so")
        done = subprocess.run(part.command, stdout=subprocess.PIPE, text=True, check=False)
        try:
            figures = json.loads(done.stdout) if done.returncode == 0 else None
        except ValueError:
            figures = None
        if figures is None:
            console.print(f"{part.name} failed (status {done.returncode}); it is run again the next time")
            failed.append(part.name)
            continue
        kept = {
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "busy_cores": round(busy, 2),
            "seconds": round(time.monotonic() - began, 1),
            "command": " ".join(["python", *part.command[1:]]),
            "figures": figures,
        }
        partial = out / f".{part.name}.partial"
        partial.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
        partial.replace(out / f"{part.name}.json")
    return failed


def load_kept(part: Part, out: Path) -> dict[str, Any] | None:
    """Return what `out` holds of a part, None if it holds nothing, or what an older version wrote."""
    file = out / f"{part.name}.json"
    kept: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return kept if "busy_cores" in kept else None


def busy_cores(seconds: float) -> float:
    """Return how many of the machine's cores are busy, as a mean over the next `seconds`."""
    before = _idle_s()
    began = time.monotonic()
    time.sleep(seconds)
    idle = (_idle_s() - before) / (time.monotonic() - began)
    cores = os.cpu_count() or 1
    return min(max(0.0, cores - idle), cores)  # the kernel's count of idle time may go backwards, proc(5)


def _idle_s() -> float:
    """Return how long all cores together have been idle since the machine started, s (`man 5 proc_stat`)."""
    idle, waiting = Path("/proc/stat").read_text().split()[4:6]
    return (int(idle) + int(waiting)) / os.sysconf("SC_CLK_TCK")


def cpu_name() -> str:
    """Return the CPU's model, as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return "unknown"
    return next((line for line in lines if line.startswith("model name")), ": unknown").partition(":")[2].strip()


def document(parts: Sequence[Part], out: Path) -> str:
    """Return what `out` holds of the parts as Markdown, each table with its command, date and CPU."""
    sections = []
    for part in parts:
        kept = load_kept(part, out)
        if kept is None:
            continue
        sections.append(f"```sh\n{kept['command']}\n```")
        sections.append(
            f"{kept['made'][:10]}, {kept['cpu']}, {kept['cores']} cores, {kept['busy_cores']:g} of them busy when it "
            "began" + ("." if kept["busy_cores"] <= _QUIET else ": **other work ran beside it.**")
        )
        sections += [markdown(table) for table in part.tables(kept["figures"])]
    return "\n\n".join(sections) + "\n"


def markdown(table: Table) -> str:
    """Return a table of the terminal in Markdown, its title above and its caption below."""
    heads = [str(column.header) for column in table.columns]
    rows = zip(*(list(column.cells) for column in table.columns), strict=True)
    lines = [str(table.title), ""] if table.title else []
    lines += [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    lines += [f"| {' | '.join(str(cell).strip() for cell in row)} |" for row in rows]
    if table.caption:
        lines += ["", str(table.caption)]
    return "\n".join(lines)


def main(
    out: Annotated[Path, typer.Option(help="Where figures are kept, and the tables written")] = Path("var/quiet"),
    parts: Annotated[str, typer.Option(help="Which are run, with commas between them")] = _ALL,
) -> None:
    """Run what is missing, and write the tables."""
    names = [name.strip() for name in parts.split(",")]
    strange = set(names) - {part.name for part in PARTS}
    if strange:
        raise typer.BadParameter(f"{', '.join(sorted(strange))}: there is no such part", param_hint="--parts")
    failed = run([part for part in PARTS if part.name in names], out, Console(stderr=True))
    (out / TABLES).write_text(document(PARTS, out), encoding="utf-8")
    typer.echo(f"{out / TABLES}")
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(main)
