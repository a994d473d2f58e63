# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How many target slices a call should read: the detector with chunks of 8, 16 (what ships) and 32, on this CPU.

    .venv-training/bin/python -m conversion window --slices 8 --out var/chunks/8.onnx
    .venv-training/bin/python -m conversion window --slices 32 --out var/chunks/32.onnx
    .venv/bin/python -m benchmarks.chunks --json

Each call reads four slices more than it answers for, so small chunks compute more twice; large ones need more memory,
keep a study that goes first waiting longer, and waste what a study does not fill. All read the golden phantom of 32 and
of 320 slices in turns, in the fastest engine of this CPU that needs no 8-bit graph: that exists for 16 slices alone.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final
from unittest.mock import patch

import numpy as np
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.inference.stream import write_chunk
from appliance.reading import contract
from appliance.settings_sources import load_settings
from benchmarks.network import LONG, SLICES, Read, Study, compare, process_peak_mib, study, time_in_turns
from benchmarks.printing import print_figures
from conversion.triton_model import ENGINES, FULL, Detector, Engine, Outputs, cpu_flags, instruction_set

FOLDER: Final = Path("var/chunks")
SHIPPED: Final = str(contract.CHUNK_SLICES)

Ask = Callable[[Study], Outputs]


def read_by(targets: int, ask: Ask) -> Read:
    """Return a function that reads a study hu [slices, 512, 512] with chunks of so many target slices."""
    chunk = np.empty((targets + 2 * contract.CONTEXT_SLICES, contract.MATRIX, contract.MATRIX), np.int16)

    def read(hu: Study) -> int:
        with patch.object(contract, "CHUNK_SLICES", targets):
            chunks = contract.chunks(len(hu))
        found = 0
        for indices in chunks:
            write_chunk(hu, indices, chunk)
            found += int(ask(chunk)["detection_count"][0])
        return found

    return read


def load(targets: int, file: Path, engine: Engine, threads: int) -> Read:
    """Return a function that reads a study with the detector in a file, which takes chunks of so many target slices."""
    return read_by(targets, Detector(file, str(contract.CONTRACT_VERSION), threads, engine))


def peak_mib(targets: int, file: Path, engine: Engine, threads: int, slices: int) -> float:
    """Return the peak memory of a process that loads a detector and reads a study, MiB, without the study's own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_own_peak_mib, (targets, file, engine, threads, slices)))


def _own_peak_mib(targets: int, file: Path, engine: Engine, threads: int, slices: int) -> float:
    hu = study(slices)
    load(targets, file, engine, threads)(hu)
    return process_peak_mib(os.getpid()) - hu.nbytes / 2**20


def measure(
    files: Mapping[int, Path], engine: Engine, threads: int, rounds: int, long: int, progress: Progress
) -> dict[str, Any]:
    """Return the figures of the detector with chunks of each size, against those that ship."""
    readers = {str(targets): load(targets, file, engine, threads) for targets, file in files.items()}

    def way(read: Read, hu: Study) -> Callable[[], int]:
        return lambda: read(hu)

    times = {}
    for slices in (SLICES, long):
        hu = study(slices)
        ways = {name: way(read, hu) for name, read in readers.items()}
        times[str(slices)] = compare(time_in_turns(ways, rounds, progress, f"{slices} slices"), SHIPPED)
    return {
        "engine": engine.name,
        "threads": threads,
        "rounds": rounds,
        "instructions": instruction_set(cpu_flags()),
        "load_at_end": round(os.getloadavg()[0], 1),
        "slices": times,
        "peak_mib": {str(targets): peak_mib(targets, file, engine, threads, long) for targets, file in files.items()},
    }


def table(figures: dict[str, Any]) -> Table:
    """Return the figures as people read them."""
    title = f"target slices a call, {figures['engine']}, {figures['threads']} threads, {figures['instructions']}"
    shown = Table("a call", *(f"{n} slices, s" for n in figures["slices"]), "peak memory, MiB", title=title)
    for targets, peak in figures["peak_mib"].items():
        cells = []
        for one in figures["slices"].values():
            ratio = one[targets]["ratio"]
            span = f"{ratio['p50']:.2f}; {ratio['min']:.2f} to {ratio['max']:.2f}"
            cells.append(f"{one[targets]['seconds']['p50']:.2f} ({span})")
        shown.add_row(targets, *cells, f"{peak:.0f}")
    shown.caption = f"in brackets the ratio to {SHIPPED} slices a call, what ships, round by round"
    return shown


def main(
    folder: Annotated[Path, typer.Option(help="Where N.onnx lies, the detector with N target slices a call")] = FOLDER,
    targets: Annotated[str, typer.Option(help="Target slices a call, beside those that ship")] = "8,32",
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="Of the engine")] = 2,
    long: Annotated[int, typer.Option(min=1, help="Slices of the second study")] = LONG,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table")] = False,
) -> None:
    """Print how fast the detector is with chunks of several sizes, and how much memory it needs."""
    shipped = load_settings().triton.model_repository / contract.DETECTOR / "1" / FULL
    files = {int(word): folder / f"{int(word)}.onnx" for word in targets.split(",")} | {contract.CHUNK_SLICES: shipped}
    lacking = [str(file) for file in files.values() if not file.is_file()]
    if lacking:
        raise typer.BadParameter(
            f"{', '.join(lacking)} not there: `python -m conversion window --slices N --out FILE` writes it",
            param_hint="--targets",
        )
    engine = next(one for one in ENGINES if one.file == FULL and one.needs <= cpu_flags())
    with Progress(console=Console(stderr=True), transient=True) as progress:
        figures = measure(dict(sorted(files.items())), engine, threads, rounds, long, progress)
    print_figures(figures, table, as_json)


if __name__ == "__main__":
    typer.run(main)
