# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How many simultaneous senders the appliance handles: success, studies a minute, turnaround, queue, memory, fairness.

    python -m benchmarks.load --senders 1,5,10,25,50 --repeats 3 --json

A real Orthanc with the plugin, a real Triton and the service run on loopback. Each sender sends one study by C-STORE,
all of them at once; the next round begins when the last study is answered. Few simulated heads are scanned, and each
study is one of them with new UIDs. A study that is not answered is counted, and the run continues.

The order is fair if the first to arrive is answered first: of all pairs of studies in a round, `in_order` is the share
that was answered in the order in which their last instances arrived (1.0: all; 0.5: no better than chance).
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from appliance.inference.regions import model_processes, region_prefix
from appliance.ledger.states import OPEN, JobState
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from benchmarks.printing import print_figures
from benchmarks.statistics import spread
from benchmarks.turnaround import peak_mb, specs
from deploy.local.appliance import LocalAppliance
from deploy.local.ports import with_free_ports
from deploy.local.storescu import send
from simulator.scan import SimulatedScan
from simulator.study import StudySpec, WrittenStudy, simulate, write_scan

ENDED: Final = frozenset({JobState.DONE, JobState.REFUSED, JobState.FAILED})
_ASKED_EVERY_S: Final = 0.5


@dataclass
class Round:
    """The outcome of the studies that were sent at once."""

    senders: int
    seconds: float = 0.0
    """From the first sender's start to the last answer."""
    records: list[dict[str, Any]] = field(default_factory=list)
    """The service's record of each study that was answered."""
    failures: list[str] = field(default_factory=list)
    """What happened to each study without an answer."""
    peak_queue: int = 0
    """Most studies that were decided and not answered at one moment, as seen every half second."""


def pairs_in_order(arrived: Sequence[float], answered: Sequence[float]) -> float | None:
    """Return the share of pairs that were answered in the order of arrival; None for fewer than two studies.

    Two that arrived at the same moment are in order either way.
    """
    pairs = list(itertools.combinations(zip(arrived, answered, strict=True), 2))
    if not pairs:
        return None
    return sum((one[0] - other[0]) * (one[1] - other[1]) >= 0 for one, other in pairs) / len(pairs)


class Watch:
    """Asks the service for its status while studies are on their way."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=30, trust_env=False)

    def status(self, limit: int) -> dict[str, Any]:
        """Return the status document with the newest `limit` studies."""
        document: dict[str, Any] = self._client.get("/status", params={"limit": limit}).raise_for_status().json()
        return document

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def run_round(settings: Settings, studies: Sequence[WrittenStudy], watch: Watch, patience_s: float) -> Round:
    """Send studies at once, one sender each; return their outcome once all have ended, or after `patience_s`."""
    result = Round(len(studies))
    together = threading.Barrier(len(studies))
    begun = time.monotonic()

    def one(study: WrittenStudy) -> str:
        together.wait()
        try:
            send(study.all_files, settings.orthanc)
        except Exception as error:  # a rejected sender is one of the figures
            return f"not sent: {error}"
        return ""

    with ThreadPoolExecutor(len(studies)) as senders:
        sending = [senders.submit(one, study) for study in studies]
        waited_for = {study.truth.study_uid for study in studies}
        ended: dict[str, dict[str, Any]] = {}
        while waited_for - ended.keys() and time.monotonic() < begun + patience_s:
            time.sleep(_ASKED_EVERY_S)
            try:
                document = watch.status(2 * len(studies) + 10)
            except httpx.HTTPError:  # busy; what is asked for is asked for again
                continue
            result.peak_queue = max(result.peak_queue, sum(document["jobs"].get(state, 0) for state in OPEN))
            for record in document["studies"]:
                if record["study_uid"] in waited_for and record["state"] in ENDED:
                    ended[record["study_uid"]] = record
            if all(future.done() for future in sending):
                waited_for -= {
                    study.truth.study_uid for study, future in zip(studies, sending, strict=True) if future.result()
                }
        refused = [future.result() for future in sending]
    result.seconds = time.monotonic() - begun
    result.failures += [said for said in refused if said]
    for uid in waited_for:
        record = ended.get(uid)
        if record is not None and record["state"] == JobState.DONE:
            result.records.append(record)
        else:
            state = "not answered in time" if record is None else f"{record['state']}: {record['error']}"
            result.failures.append(state)
    return result


def figures_of(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return one row of the table: the rounds with the same number of senders together."""
    records = [record for one in rounds for record in one.records]
    turnarounds = [record["turnaround_s"] for record in records if record["turnaround_s"] is not None]
    fairness = [share for one in rounds if (share := _in_order(one)) is not None]
    sent = sum(one.senders for one in rounds)
    return {
        "senders": rounds[0].senders,
        "rounds": len(rounds),
        "studies": sent,
        "answered": len(records),
        "success": len(records) / sent,
        "studies_a_minute": 60 * len(records) / sum(one.seconds for one in rounds),
        "turnaround_s": spread(turnarounds) if turnarounds else None,
        "tries_most": max((record["tries"] for record in records), default=0),
        "peak_queue": max(one.peak_queue for one in rounds),
        "in_order": min(fairness) if fairness else None,
        "failures": [failure for one in rounds for failure in one.failures],
    }


def _in_order(one: Round) -> float | None:
    records = [record for record in one.records if record["turnaround_s"] is not None]
    arrived = [datetime.fromisoformat(record["last_instance"]).timestamp() for record in records]
    answered = [at + record["turnaround_s"] for at, record in zip(arrived, records, strict=True)]
    return pairs_in_order(arrived, answered)


def peaks_mb(local: LocalAppliance) -> dict[str, float]:
    """Return the largest memory that each process has had, MB; the network's is that of Triton's model processes."""
    pids = {"service": local.service.pid, "orthanc": local.orthanc.pid, "triton": local.triton.pid}
    networks = [process for process, _ in model_processes(region_prefix(local.settings.triton))]
    found = {name: peak_mb(pid) for name, pid in pids.items() if pid is not None}
    return {**found, "networks": sum(peak_mb(pid) for pid in networks)}


def measure(senders: Sequence[int], repeats: int, slices: int, patience_s: float, console: Console) -> dict[str, Any]:
    """Run the appliance and return the figures."""
    before = round(os.getloadavg()[0], 1)
    with (
        tempfile.TemporaryDirectory(prefix="load-") as work,
        Progress(console=console, transient=True) as progress,
    ):
        folder = Path(work)
        settings = with_free_ports(load_settings(), folder / "state")
        bar = progress.add_task("simulating the patients", total=2)
        patients: list[tuple[StudySpec, SimulatedScan]] = []
        for spec in specs(slices)[:2]:  # one that bleeds and one that does not
            patients.append((spec, simulate(spec)))
            progress.advance(bar)
        progress.remove_task(bar)
        rows = []
        with LocalAppliance(settings) as local:
            watch = Watch(local.service.url)
            bar = progress.add_task("sending", total=repeats * sum(senders) + 1)
            warm_up = _write_studies(patients, 1, folder / "warm-up")
            run_round(settings, warm_up, watch, patience_s)
            progress.advance(bar)
            for count in senders:
                rounds = []
                for repeat in range(repeats):
                    studies = _write_studies(patients, count, folder / f"{count}-{repeat}")
                    rounds.append(run_round(settings, studies, watch, patience_s))
                    progress.advance(bar, count)
                rows.append({**figures_of(rounds), "peak_mb": peaks_mb(local)})
            watch.close()
    return {
        "scans": "simulated",
        "slices": slices,
        "repeats": repeats,
        "cores": os.cpu_count(),
        "load_average": {"before": before, "after": round(os.getloadavg()[0], 1)},
        "rows": rows,
    }


def _write_studies(patients: Sequence[tuple[StudySpec, SimulatedScan]], count: int, folder: Path) -> list[WrittenStudy]:
    """Write `count` studies of the patients in turns, each with new UIDs."""
    return [
        write_scan(scan, spec, folder / str(number))
        for number, (spec, scan) in enumerate(itertools.islice(itertools.cycle(patients), count))
    ]


def table(figures: dict[str, Any]) -> Table:
    """Return the figures as people read them."""
    title = (
        f"simulated studies of {figures['slices']} slices, {figures['repeats']} rounds each, {figures['cores']} cores"
    )
    shown = Table(
        *("senders", "answered", "a minute", "p50 s", "p95 s", "longest s", "queue", "in order", "service MB"),
        title=title,
    )
    for row in figures["rows"]:
        spent = row["turnaround_s"]
        shown.add_row(
            str(row["senders"]),
            f"{row['answered']} of {row['studies']}",
            f"{row['studies_a_minute']:.1f}",
            *(f"{spent[name]:.1f}" if spent else "–" for name in ("p50", "p95", "max")),
            str(row["peak_queue"]),
            "–" if row["in_order"] is None else f"{row['in_order']:.3f}",
            f"{row['peak_mb'].get('service', 0):.0f}",
        )
    return shown


def main(
    senders: Annotated[
        str, typer.Option(help="How many send at once, one number for each row of the table")
    ] = "1,5,10,25,50",
    repeats: Annotated[int, typer.Option(min=1, help="Rounds with each number")] = 3,
    slices: Annotated[int, typer.Option(help="Slices of each study")] = 20,
    patience_s: Annotated[float, typer.Option(help="When to give up a round, s")] = 1800,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Print what the appliance answers when several senders send at once."""
    try:
        counts = [int(word) for word in senders.split(",")]
    except ValueError:
        counts = []
    if not counts or min(counts) < 1:
        raise typer.BadParameter(
            f"{senders!r}: whole numbers from 1 on, with commas between them", param_hint="--senders"
        )
    figures = measure(counts, repeats, slices, patience_s, Console(stderr=True))
    print_figures(figures, table, as_json)


if __name__ == "__main__":
    typer.run(main)
