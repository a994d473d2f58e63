# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How long from the last instance received to the SR stored, and where that time goes.

    python -m benchmarks.turnaround --json

A real Orthanc with the plugin, a real Triton and the service run on loopback; studies of 32 simulated slices with new
UIDs arrive by C-STORE, one after another, at the warm appliance. It also shows the C-STORE time of such a series with
and without `TCP_NODELAY=1` on both ends, taken in turns, and the service's peak memory, with one study of 320 slices
last. The studies are simulated; the machine's other load is in the figures, so compare ratios within one run.
"""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.settings_sources import load_settings
from benchmarks.printing import print_figures
from benchmarks.statistics import spread
from deploy.local.appliance import LocalAppliance
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from simulator.diagnosis import Diagnosis
from simulator.scan import SimulatedScan
from simulator.series import SeriesKind
from simulator.study import StudySpec, WrittenStudy, simulate, write_scan

WAITED_OUT = ("quiet", "infer")
"""The steps that are not the appliance's own work: the quiet time of the settings, and the network."""
STORING_THE_REST = "deliver_rest"
"""Key images are drawn and stored, and the key object selection is stored, after the SR and the SEG."""


def specs(slices: int) -> tuple[StudySpec, ...]:
    """Return four patients, two of them bleeding; the studies of the run are theirs, with new UIDs."""
    series = (SeriesKind.AXIAL,)
    return tuple(
        StudySpec(seed, diagnosis, volume_ml=volume_ml, series=series, slices=slices, new_uids=True)
        for seed, diagnosis, volume_ml in (
            (6_000_000, Diagnosis.IPH, 40.0),
            (6_000_001, Diagnosis.NONE, None),
            (6_000_002, Diagnosis.EDH_SDH, 60.0),
            (6_000_003, Diagnosis.NONE, None),
        )
    )


def await_answer(service_url: str, study_uid: str, timeout_s: float = 300) -> dict[str, Any]:
    """Return the service's record of a study once it is decided. Raises `TimeoutError` with its state."""
    deadline = time.monotonic() + timeout_s
    record: dict[str, Any] = {"state": "not seen"}
    while time.monotonic() < deadline:
        answer = httpx.get(f"{service_url}/status", params={"limit": 5}, timeout=10, trust_env=False)
        document = answer.raise_for_status().json()
        record = next((study for study in document["studies"] if study["study_uid"] == study_uid), record)
        if record["state"] in {"done", "refused", "failed"}:
            return record
        time.sleep(0.25)
    raise TimeoutError(f"study {study_uid} is still {record['state']} after {timeout_s:.0f} s")


def peak_mb(pid: int) -> float:
    """Return the largest resident memory that a process has had, MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} tells no peak memory")


def own_ms(record: dict[str, Any]) -> float:
    """Return how long a study took up to the stored SR and SEG, without the quiet time and the network, ms."""
    return float(1000 * record["turnaround_s"] - sum(record["timing_ms"].get(part, 0.0) for part in WAITED_OUT))


def c_store_seconds(study: WrittenStudy, folder: Path, runs: int) -> dict[str, list[float]]:
    """Return how long sending `study` takes with `TCP_NODELAY=1` on both ends and on none, in turns, s."""
    taken: dict[str, list[float]] = {"tcp_nodelay": [], "without": []}
    for _ in range(runs):
        for name, nodelay in (("tcp_nodelay", True), ("without", False)):
            state = folder / f"{name}-{len(taken[name])}"
            settings = with_free_ports(load_settings(), state)
            with OrthancProcess(settings, state, doorbell=False, tcp_nodelay=nodelay):
                send(study.all_files[:1], settings.orthanc, tcp_nodelay=nodelay)  # its first store makes its folders
                begun = time.monotonic()
                send(study.all_files, settings.orthanc, tcp_nodelay=nodelay)
                taken[name].append(time.monotonic() - begun)
    return taken


def measure(studies: int, slices: int, large: int, console: Console) -> dict[str, Any]:
    """Run the appliance and return the figures."""
    with (
        tempfile.TemporaryDirectory(prefix="turnaround-") as work,
        Progress(console=console, transient=True) as progress,
    ):
        folder = Path(work)
        settings = with_free_ports(load_settings(), folder / "state")
        service_url = f"http://{settings.service.host}:{settings.service.port}"

        bar = progress.add_task("simulating the patients", total=None)
        with ProcessPoolExecutor(2) as pool:
            patients = list(zip(specs(slices), pool.map(simulate, specs(slices)), strict=True))
        progress.remove_task(bar)

        def write(spec: StudySpec, scan: SimulatedScan, name: str) -> WrittenStudy:
            return write_scan(scan, spec, folder / "studies" / name)

        records = []
        with LocalAppliance(settings) as local:
            bar = progress.add_task("sending studies", total=studies + 1)
            for number in range(studies + 1):
                study = write(*patients[number % len(patients)], name=str(number))
                send(study.all_files, settings.orthanc)
                record = await_answer(service_url, study.truth.study_uid)
                if record["state"] != "done":
                    raise RuntimeError(
                        f"a study was not answered: {record['state']} {record['refusals']} {record['error']}"
                    )
                if number:  # the first one is the warm-up
                    records.append(record)
                progress.advance(bar)
            if local.service.pid is None:
                raise RuntimeError("the service has ended")
            memory = {"service_peak_mb": peak_mb(local.service.pid)}
            if large:
                progress.add_task(f"a study of {large} slices", total=None)
                spec = StudySpec(
                    6_000_004,
                    Diagnosis.IPH,
                    volume_ml=40,
                    series=(SeriesKind.AXIAL,),
                    slices=large,
                    spacing_mm=160 / large,
                )
                study = write(spec, simulate(spec), "large")
                send(study.all_files, settings.orthanc)
                record = await_answer(service_url, study.truth.study_uid)
                memory |= {
                    f"service_peak_mb_after_{large}_slices": peak_mb(local.service.pid),
                    f"state_of_{large}_slices": record["state"],
                    f"timing_ms_of_{large}_slices": record["timing_ms"],
                }
        progress.add_task("C-STORE with and without TCP_NODELAY", total=None)
        one = write(*patients[0], name="c-store")
        stored = c_store_seconds(one, folder / "c-store", runs=3)

    parts = sorted({part for record in records for part in record["timing_ms"]})
    return {
        "scans": "simulated",
        "studies": studies,
        "slices": slices,
        "turnaround_s": spread([record["turnaround_s"] for record in records]),
        "own_work_ms": spread([own_ms(record) for record in records]),
        "parts_ms": {part: spread([record["timing_ms"].get(part, 0.0) for record in records]) for part in parts},
        "c_store_s": {name: spread(seconds) for name, seconds in stored.items()},
        "memory": memory,
    }


def table(figures: dict[str, Any]) -> Table:
    """Return the figures as people read them."""
    title = f"{figures['studies']} simulated studies of {figures['slices']} slices, one after another"
    shown = Table("figure", "p50", "p95", "min", "max", title=title)

    def row(name: str, values: dict[str, float], digits: int) -> None:
        shown.add_row(name, *(f"{values[key]:.{digits}f}" for key in ("p50", "p95", "min", "max")))

    row("last instance to SR stored, s", figures["turnaround_s"], 2)
    row("of it own work (all but quiet and infer), ms", figures["own_work_ms"], 0)
    for part, values in figures["parts_ms"].items():
        after = " (after the SR)" if part == STORING_THE_REST else ""
        row(f"  {part}{after}, ms", values, 1)
    for name, values in figures["c_store_s"].items():
        row(f"C-STORE of a series, {name.replace('_', ' ')}, s", values, 2)
    for name, value in figures["memory"].items():
        if isinstance(value, float):
            shown.add_row(name.replace("_", " "), f"{value:.0f}", "", "", "")
    return shown


def main(
    studies: Annotated[int, typer.Option(min=1, help="How many are timed")] = 20,
    slices: Annotated[int, typer.Option(help="Slices of each")] = 32,
    large: Annotated[int, typer.Option(help="Slices of the last study, for the memory; 0 leaves it out")] = 320,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Print the turnaround of the warm appliance with its parts, C-STORE times and peak memory."""
    figures = measure(studies, slices, large, Console(stderr=True))
    print_figures(figures, table, as_json)


if __name__ == "__main__":
    typer.run(main)
