# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The reference that drift is measured against, from simulated studies of the validation cohort (docs/drift.md).

    python -m benchmarks.reference --studies 120

Each study is written as DICOM files and read by the service's own pipeline in a Triton that is started for it, so that
its row is what the ledger would keep. The cohort has a bleed in three of eight heads; of those so many are taken that
`--positive` of all have one. Rows are kept one by one, so that an interrupted run continues.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer

from appliance.analyze import detector_at_hand, folder_contents, with_secret
from appliance.clocks import iso
from appliance.delivery.summary import summary
from appliance.drift.features import Row, row_of
from appliance.drift.reference import REFERENCE, Provenance, Reference, save
from appliance.inference.series_classifier import SeriesClassifier
from appliance.pipeline import Pipeline, ReadAnswer
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from deploy.local.ports import with_free_ports
from simulator.cohort import spec_of
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, read
from simulator.population import REALISTIC
from simulator.study import write_study

MANIFEST: Final = "validation"

app = typer.Typer(add_completion=False)


def chosen(entries: list[Entry], count: int, positive: float) -> Iterator[Entry]:
    """Yield so many entries in the manifest's order, every `1 / positive`-th with a bleed.

    Raises `ValueError` when the manifest has too few of either.
    """
    bleeds = [entry for entry in entries if entry.diagnosis is not Diagnosis.NONE]
    healthy = [entry for entry in entries if entry.diagnosis is Diagnosis.NONE]
    wanted = int(count * positive)
    if wanted > len(bleeds) or count - wanted > len(healthy):
        raise ValueError(f"the cohort has {len(bleeds)} studies with and {len(healthy)} without a bleed")
    for number in range(count):
        before, after = int(number * positive), int((number + 1) * positive)
        yield bleeds[before] if after > before else healthy[number - before]


def row_of_entry(entry: Entry, pipeline: Pipeline) -> Row:
    """Return the row of a simulated study; empty when it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        write_study(spec_of(entry), Path(folder))
        study = folder_contents(Path(folder)).study(None)
        if study is None:
            return {}
        answer = pipeline.answer(study)
    return row_of(summary(answer)) if isinstance(answer, ReadAnswer) else {}


@app.command()
def main(
    studies: Annotated[int, typer.Option(min=50, help="How many")] = 120,
    positive: Annotated[float, typer.Option(min=0.02, max=0.35, help="Share of studies with a bleed")] = 0.15,
    rows_file: Annotated[Path, typer.Option("--rows", help="Where rows are kept as they are made")] = Path(
        "var/reference.jsonl"
    ),
    repository: Annotated[
        Path | None, typer.Option(help="Model repository with the model; default: the shipped one")
    ] = None,
) -> None:
    """Write the reference of a model beside it."""
    settings = with_secret(with_free_ports(Settings(), Path("var/reference")))
    if repository is not None:
        triton = settings.triton.model_copy(update={"model_repository": repository.absolute()})
        settings = settings.model_copy(update={"triton": triton})
    rows_file.parent.mkdir(parents=True, exist_ok=True)
    settings.state_dir.mkdir(parents=True, exist_ok=True)
    kept = [json.loads(line) for line in rows_file.read_text().splitlines()] if rows_file.exists() else []
    wanted = list(chosen(list(read(MANIFEST)), studies, positive))
    with detector_at_hand(settings, typer.echo) as detector, rows_file.open("a") as file:
        model = detector.identity
        by_seed = {one["seed"]: one["row"] for one in kept if one["model"] == model.sha256}
        pipeline = Pipeline(settings, detector, SeriesClassifier(settings.triton))
        for entry in wanted:
            if entry.seed not in by_seed:
                by_seed[entry.seed] = row_of_entry(entry, pipeline)
                file.write(json.dumps({"seed": entry.seed, "model": model.sha256, "row": by_seed[entry.seed]}) + "\n")
                file.flush()
                typer.echo(f"{entry.seed} {entry.diagnosis} {by_seed[entry.seed]}")
    rows = [by_seed[entry.seed] for entry in wanted]
    read_rows = tuple(row for row in rows if row)
    bleeds = sum(entry.diagnosis is not Diagnosis.NONE for entry in wanted)
    population = (
        f"{len(read_rows)} simulated studies that were read, {len(rows) - len(read_rows)} refused, of the simulator's "
        f"{MANIFEST} cohort (heads drawn as {REALISTIC.name}); {bleeds} have a bleed"
    )
    command = f"python -m benchmarks.reference --studies {studies} --positive {positive:g}"
    place = settings.triton.model_repository / DETECTOR / model.version / REFERENCE
    save(Reference(model.sha256, Provenance(iso(time.time()), population, command), read_rows), place)
    typer.echo(f"{place}: {population}")


if __name__ == "__main__":
    app()
