# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What reading ahead saves: the time from the last instance received to the SR stored, with it and without it.

    python -m benchmarks.ahead --json

Two whole appliances run on loopback, one that reads ahead and one that does not (`intake.ahead_mib = 0`). The same
simulated patients are sent to both by C-STORE, one study after another, in turns, so that the machine's other load
affects both figures equally. The time beyond the quiet time is what a reader waits for the appliance itself.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.settings import Settings
from appliance.settings_sources import load_settings
from benchmarks.printing import print_figures
from benchmarks.statistics import spread
from benchmarks.turnaround import await_answer, specs
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from simulator.study import simulate, write_scan

WAYS = {"ahead": True, "not ahead": False}


def settings_of(folder: Path, ahead: bool) -> Settings:
    """Return the settings of an appliance that reads ahead, or does not."""
    settings = with_free_ports(load_settings(), folder)
    if ahead:
        return settings
    return settings.model_copy(update={"intake": settings.intake.model_copy(update={"ahead_mib": 0})})


def read_ahead(url: str) -> dict[str, float]:
    """Return how many studies the service has read ahead, by outcome."""
    counted = {}
    for line in httpx.get(f"{url}/metrics", timeout=10, trust_env=False).text.splitlines():
        if line.startswith("hemorrhage_studies_read_ahead_total{"):
            counted[line.split('"')[1]] = float(line.rsplit(" ", 1)[1])
    return counted


def measure(studies: int, slices: int, console: Console) -> dict[str, Any]:
    """Run both appliances and return the figures.

    Raises
    ------
    RuntimeError
        If a study is not answered.
    """
    with (
        tempfile.TemporaryDirectory(prefix="ahead-") as work,
        Progress(console=console, transient=True) as progress,
        ExitStack() as running,
    ):
        folder = Path(work)
        bar = progress.add_task("simulating the patients", total=None)
        with ProcessPoolExecutor(2) as pool:
            two = specs(slices)[:2]  # one that bleeds and one that does not: a scan takes a GB
            patients = list(zip(two, pool.map(simulate, two), strict=True))
        progress.remove_task(bar)
        beyond: dict[str, list[float]] = {name: [] for name in WAYS}
        both = {name: settings_of(folder / name.replace(" ", "-"), ahead) for name, ahead in WAYS.items()}
        for settings in both.values():
            running.enter_context(LocalAppliance(settings))
        urls = {name: f"http://{one.service.host}:{one.service.port}" for name, one in both.items()}
        bar = progress.add_task("sending studies", total=2 * (studies + 1))
        for number in range(studies + 1):
            spec, scan = patients[number % len(patients)]
            for name, settings in both.items():
                study = write_scan(scan, spec, folder / "studies" / f"{number} {name}")
                send(study.all_files, settings.orthanc)
                record = await_answer(urls[name], study.truth.study_uid)
                if record["state"] != "done":
                    raise RuntimeError(f"a study was not answered: {record['state']} {record['error']}")
                if number:  # the first one is the warm-up
                    beyond[name].append(record["turnaround_s"] - settings.intake.quiet_s)
                progress.advance(bar)
        outcomes = read_ahead(urls["ahead"])
    ratios = [with_it / without for with_it, without in zip(beyond["ahead"], beyond["not ahead"], strict=True)]
    return {
        "scans": "simulated",
        "studies": studies,
        "slices": slices,
        "quiet_s": both["ahead"].intake.quiet_s,
        "beyond_quiet_s": {name: spread(values) for name, values in beyond.items()},
        "ratio": spread(ratios),
        "read_ahead": outcomes,
    }


def table(figures: dict[str, Any]) -> Table:
    """Return the figures as people read them."""
    title = f"{figures['studies']} simulated studies of {figures['slices']} slices to each, in turns"
    shown = Table("from the last instance to the SR", "p50", "p95", "min", "max", title=title)

    def row(name: str, values: dict[str, float]) -> None:
        shown.add_row(name, *(f"{values[key]:.2f}" for key in ("p50", "p95", "min", "max")))

    for name, values in figures["beyond_quiet_s"].items():
        row(f"beyond the quiet time of {figures['quiet_s']:g} s, read {name}, s", values)
    row("ratio of the two", figures["ratio"])
    counted = figures["read_ahead"]
    shown.caption = f"read ahead in time {counted['in_time']:.0f}, in vain {counted['in_vain']:.0f}"
    return shown


def main(
    studies: Annotated[int, typer.Option(min=1, help="How many are timed, each on both appliances")] = 12,
    slices: Annotated[int, typer.Option(help="Slices of each")] = 32,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Print what reading ahead saves."""
    figures = measure(studies, slices, Console(stderr=True))
    print_figures(figures, table, as_json)


if __name__ == "__main__":
    typer.run(main)
