# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the detector is on this CPU: each engine that may serve, through Triton and without, short and long studies.

    python -m benchmarks.network --json

Every comparison is made in turns within one run, so that the machine's other load affects both figures equally; the
output has medians, ratios pair by pair, and the instruction set. `--isa AVX2` limits OpenVINO to older instructions
than the CPU has. The input is the golden phantom, repeated to a study's length: the network takes the same time for any
input.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.inference.detector import TritonDetector
from appliance.inference.server import TritonServer
from appliance.inference.stream import write_chunk
from appliance.reading import contract
from appliance.reading.detections import chunk_detections
from appliance.reading.golden import golden_chunk
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from benchmarks.statistics import spread
from conversion.triton_model import ENGINES, REFERENCE, Detector, Engine, cpu_flags, engines_of, instruction_set
from deploy.local.ports import with_free_ports

SLICES: Final = 32
LONG: Final = 320

Study = NDArray[np.int16]
Read = Callable[[Study], int]


def study(slices: int) -> Study:
    """Return a study hu [slices, 512, 512] of the golden phantom, alternately upwards and downwards."""
    chunk = golden_chunk()
    both = np.concatenate([chunk, chunk[::-1]])
    return np.ascontiguousarray(np.resize(both, (slices, *both.shape[1:])))


def in_process(detector: Detector) -> Read:
    """Return a function that reads a study as the service does, with the detector in this process."""
    chunk = np.empty(contract.INPUT_SHAPE, np.int16)

    def read(hu: Study) -> int:
        found = 0
        for number, indices in enumerate(contract.chunks(len(hu))):
            write_chunk(hu, indices, chunk)
            found += len(list(chunk_detections(detector(chunk), number, len(hu))))
        return found

    return read


def time_in_turns(
    ways: Mapping[str, Callable[[], object]], rounds: int, progress: Progress, what: str
) -> dict[str, list[float]]:
    """Return the seconds of each way in each round, all ways in turns; a first round is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    bar = progress.add_task(what, total=(rounds + 1) * len(ways))
    for round_ in range(rounds + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if round_:
                seconds[name].append(time.perf_counter() - start)
            progress.advance(bar)
    return seconds


def compare(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, Any]:
    """Return for each way its seconds, and its ratio to the base, round by round."""
    return {
        name: {
            "seconds": spread(values),
            "ratio": spread([one / other for one, other in zip(values, seconds[base], strict=True)]),
        }
        for name, values in seconds.items()
    }


def list_usable(folder: Path, judged_only: bool) -> tuple[Engine, ...]:
    """Return the engines to time, the fastest first: those that may serve, or all that the CPU runs."""
    if judged_only:
        return engines_of(folder, cpu_flags())
    return tuple(one for one in ENGINES if one.needs <= cpu_flags() and (folder / one.file).is_file())


def time_engines(folder: Path, engines: Sequence[Engine], threads: int, rounds: int, progress: Progress) -> Any:
    """Return the figures of each engine on 32 slices, in turns."""
    loaded = {
        one.name: in_process(Detector(folder / one.file, str(contract.CONTRACT_VERSION), threads, one))
        for one in engines
    }
    hu = study(SLICES)

    def way(read: Read) -> Callable[[], int]:
        return lambda: read(hu)

    ways = {name: way(read) for name, read in loaded.items()}
    return compare(time_in_turns(ways, rounds, progress, "engines in turns"), REFERENCE.name)


def peak_mib(folder: Path, engine: Engine, threads: int, slices: int) -> float:
    """Return the peak memory of a process that loads an engine and reads a study, MiB, without the study's own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return float(pool.apply(_own_peak_mib, (folder, engine, threads, slices)))


def _own_peak_mib(folder: Path, engine: Engine, threads: int, slices: int) -> float:
    hu = study(slices)
    in_process(Detector(folder / engine.file, str(contract.CONTRACT_VERSION), threads, engine))(hu)
    return process_peak_mib(os.getpid()) - hu.nbytes / 2**20


def process_peak_mib(pid: int) -> float:
    """Return the most memory that a process has had resident, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def children(pid: int) -> list[int]:
    """Return the processes that a process started and that still run."""
    stats = {int(path.parent.name): path.read_text() for path in Path("/proc").glob("[0-9]*/stat") if path.exists()}
    return [one for one, text in stats.items() if int(text.rpartition(")")[2].split()[1]) == pid]


def time_triton(
    settings: Settings, folder: Path, engine: Engine, threads: int, rounds: int, progress: Progress
) -> dict[str, Any]:
    """Return the figures of 32 slices through a separate Triton and in this process, with the same engine and threads.

    They include the server's peak memory, MiB: of tritonserver and its model processes, including the classifier's.

    Raises
    ------
    RuntimeError
        If Triton serves another engine.
    """
    with tempfile.TemporaryDirectory(prefix="network-") as work:
        served = with_free_ports(settings, Path(work))
        triton = served.triton.model_copy(update={"engine": engine.name, "threads": threads, "profile": "cpu"})
        with TritonServer(triton, Path(work)) as server:
            detector = TritonDetector(triton)
            try:
                read = in_process(Detector(folder / engine.file, str(contract.CONTRACT_VERSION), threads, engine))
                hu = study(SLICES)
                ways = {"in process": lambda: read(hu), "through Triton": lambda: detector.read(hu)}
                seconds = time_in_turns(ways, rounds, progress, "through Triton and in process")
                processes = [server.pid, *children(server.pid)] if server.pid else []
                memory = sum(process_peak_mib(pid) for pid in processes)
                told = detector.engine
                if told is None or told.name != engine.name:
                    raise RuntimeError(f"Triton serves {told}, not {engine.name}")
            finally:
                detector.close()
    return {"ways": compare(seconds, "in process"), "server_peak_mib": memory}


def time_long(folder: Path, engine: Engine, threads: int, rounds: int, progress: Progress) -> Any:
    """Return the figures of 320 slices against ten times those of 32."""
    read = in_process(Detector(folder / engine.file, str(contract.CONTRACT_VERSION), threads, engine))
    short, long = study(SLICES), study(LONG)

    def ten() -> None:
        for _ in range(LONG // SLICES):
            read(short)

    return compare(
        time_in_turns({"ten of 32": ten, "one of 320": lambda: read(long)}, rounds, progress, "320 slices"), "ten of 32"
    )


def tables(figures: dict[str, Any]) -> list[Table]:
    """Return the figures as people read them."""
    parts = {
        f"32 slices, {figures['threads']} threads, {figures['instructions']}, s": figures["engines"],
        f"32 slices, {figures['engine']}": figures["triton"]["ways"],
        f"320 slices, {figures['engine']}": figures["long"],
    }
    shown = []
    for title, part in parts.items():
        table = Table("", "p50", "min", "max", "ratio", "least", "most", title=title)
        for name, one in part.items():
            seconds, ratio = one["seconds"], one["ratio"]
            cells = (seconds["p50"], seconds["min"], seconds["max"], ratio["p50"], ratio["min"], ratio["max"])
            table.add_row(name, *(f"{cell:.3f}" for cell in cells))
        shown.append(table)
    memory = Table("", "32 slices", "320 slices", title="peak memory of a process, MiB")
    for name, one in figures["peak_mib"].items():
        memory.add_row(name, *(f"{one[key]:.0f}" for key in ("32", "320")))
    memory.caption = f"tritonserver and its model processes: {figures['triton']['server_peak_mib']:.0f} MiB"
    return [*shown, memory]


def main(
    rounds: Annotated[int, typer.Option(min=1, help="How often each is timed")] = 7,
    threads: Annotated[int, typer.Option(min=1, help="Of the engine")] = 2,
    isa: Annotated[str, typer.Option(help="Hold OpenVINO to this instruction set (AVX2, AVX512_CORE, …)")] = "",
    unjudged: Annotated[bool, typer.Option(help="Time engines too that have not passed the precision gate")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables")] = False,
) -> None:
    """Print how fast the detector is."""
    if isa:
        os.environ["ONEDNN_MAX_CPU_ISA"] = isa  # read when OpenVINO is loaded, here and by Triton's model process
    settings = load_settings()
    folder = settings.triton.model_repository / contract.DETECTOR / "1"
    engines = list_usable(folder, not unjudged)
    if isa:
        engines = tuple(one for one in engines if one.precision != "bf16")
    first = engines_of(folder, cpu_flags())[0] if not isa else next(one for one in engines if one.precision)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        figures: dict[str, Any] = {
            "instructions": f"{isa}, held to it" if isa else instruction_set(cpu_flags()),
            "threads": threads,
            "rounds": rounds,
            "load_at_start": round(os.getloadavg()[0], 1),
            "engine": first.name,
            "engines": time_engines(folder, engines, threads, rounds, progress),
            "triton": time_triton(settings, folder, first, threads, rounds, progress),
            "long": time_long(folder, first, threads, max(2, rounds // 2), progress),
            "peak_mib": {
                one.name: {str(n): peak_mib(folder, one, threads, n) for n in (SLICES, LONG)}
                for one in dict.fromkeys((first, REFERENCE))
            },
        }
    if as_json:
        typer.echo(json.dumps(figures, indent=2))
    else:
        for table in tables(figures):
            Console().print(table)


if __name__ == "__main__":
    typer.run(main)
