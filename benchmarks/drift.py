# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What measuring costs a study, and how rare false alarms of drift are (docs/drift.md).

python -m benchmarks.drift measure
python -m benchmarks.drift alarms --years 20
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from appliance.analyze import folder_contents
from appliance.drift.compare import WINDOW, compare
from appliance.drift.features import Row
from appliance.drift.measure import measure as measure_volume
from appliance.drift.reference import REFERENCE, load, model_of
from appliance.imaging.check import check
from appliance.imaging.read import read_volume
from appliance.imaging.stacks import stacks
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from simulator.study import StudySpec, write_study

app = typer.Typer(add_completion=False)


@app.command()
def measure(
    seed: Annotated[int, typer.Option(help="The simulated study")] = 7_000_000,
    times: Annotated[int, typer.Option(min=1, help="How often it is measured")] = 50,
) -> None:
    """Print how long one simulated study takes to measure, ms."""
    with tempfile.TemporaryDirectory() as folder:
        write_study(StudySpec(seed, "iph", series=()), Path(folder))  # type: ignore[arg-type]
        study = folder_contents(Path(folder)).study(None)
        assert study is not None
        volume = read_volume(stacks(study.instances)[0], study.fetch)
    inside = check(volume)
    took_ms = []
    for _ in range(times):
        begun = time.perf_counter()
        measure_volume(volume, inside)
        took_ms.append((time.perf_counter() - begun) * 1000)
    typer.echo(
        f"{volume.slices} slices of {volume.hu.shape[1]} x {volume.hu.shape[2]} pixels: "
        f"median {statistics.median(took_ms):.1f} ms of {times}, longest {max(took_ms):.1f} ms"
    )


@app.command()
def alarms(
    years: Annotated[int, typer.Option(min=1)] = 20,
    a_day: Annotated[int, typer.Option(min=1, help="Studies a day")] = 20,
    reference: Annotated[int, typer.Option(min=50, help="Studies of the reference")] = 200,
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    """Print how many of so many years without any change raise an alarm, looked at each day.

    Reference and studies are drawn, with replacement, from the rows of the shipped reference.
    """
    place = next((Settings().triton.model_repository / DETECTOR).glob(f"*/{REFERENCE}"))
    rows = load(place, model_of(place)).rows
    random = np.random.default_rng(seed)

    def draw(count: int) -> list[Row]:
        return [rows[index] for index in random.integers(len(rows), size=count)]

    loud: list[tuple[int, Any]] = []
    for year in range(years):
        beside, studies = draw(reference), draw(365 * a_day)
        for day in range(WINDOW // a_day + 1, 365):
            newest = studies[max(0, day * a_day - WINDOW) : day * a_day]
            loud += [(year, one.feature.name) for one in compare(beside, newest) if one.differs]
    with_one = {year for year, _ in loud}
    names = sorted({name for _, name in loud})
    typer.echo(
        f"{len(with_one)} of {years} years raise an alarm, on {len(loud)} of {years * (364 - WINDOW // a_day)} days: "
        f"{', '.join(names) or 'none'}"
    )


if __name__ == "__main__":
    app()
