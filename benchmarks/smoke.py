# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Does the shipped network find what is there? Fresh simulated studies, half of them with at least 25 mL of blood.

    python -m benchmarks.smoke --json

Every study goes through the appliance's own pipeline and a real Triton, from its DICOM files on disk: selection among
several series, reading, the network, the finding. **The studies are simulated**, by the simulator that the network
learnt from: the figures say that the parts work together, not how it reads patients.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track
from rich.table import Table

from appliance.analyze import folder_contents
from appliance.inference.detector import TritonDetector
from appliance.inference.server import TritonServer
from appliance.pipeline import Pipeline, ReadAnswer
from appliance.reading.contract import TYPES
from appliance.reading.lesions import Criteria
from appliance.reading.roc import area_under_curve
from appliance.settings_sources import load_settings
from benchmarks.printing import print_figures
from benchmarks.statistics import Proportion, spread
from deploy.local.ports import with_free_ports
from simulator.diagnosis import Diagnosis
from simulator.series import SeriesKind
from simulator.study import StudySpec, write_study

SERIES = (SeriesKind.AXIAL, SeriesKind.BONE, SeriesKind.THIN, SeriesKind.CORONAL, SeriesKind.SCOUT)
LEAST_ML = 25.0
MOST_ML = 70.0


@dataclass(frozen=True)
class Case:
    """One study's truth beside the appliance's answer."""

    seed: int
    type: str
    true_ml: float
    right_series: bool
    present: bool | None
    probability: float | None
    found_ml: float
    found_types: tuple[str, ...]
    refusals: tuple[str, ...]
    infer_ms: float


def specs(studies: int, seed: int) -> Iterator[StudySpec]:
    """Yield the studies to simulate: even ones without hemorrhage, odd ones with each type in turn."""
    for number in range(studies):
        if number % 2 == 0:
            yield StudySpec(seed + number, Diagnosis.NONE, series=SERIES)
        else:
            share = (number * 0.618034) % 1.0  # volumes spread evenly, whatever their number
            # A little above the least, because the labelled volume may be a tenth smaller than requested.
            volume_ml = 1.12 * LEAST_ML + share * (MOST_ML - 1.12 * LEAST_ML)
            yield StudySpec(
                seed + number, Diagnosis(TYPES[number // 2 % len(TYPES)]), volume_ml=volume_ml, series=SERIES
            )


def simulate_study(spec: StudySpec, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Write one study below `folder` and return its own folder and its truth."""
    out = folder / f"{spec.seed}"
    written = write_study(spec, out)
    return out, asdict(written.truth)


def case(pipeline: Pipeline, folder: Path, truth: dict[str, Any]) -> Case:
    """Return what the appliance says of the study in `folder`, beside `truth`."""
    study = folder_contents(folder).study(truth["study_uid"])
    if study is None:
        raise RuntimeError(f"{folder}: the simulator wrote no DICOM file")
    answer = pipeline.answer(study)
    read = answer if isinstance(answer, ReadAnswer) else None
    finding = read.finding if read else None
    return Case(
        seed=truth["seed"],
        type=truth["type"],
        true_ml=truth["volume_ml"],
        right_series=read is not None and read.stack.series_uid == truth["series_uid"],
        present=finding.present if finding else None,
        probability=finding.probability if finding else None,
        found_ml=sum(lesion.volume_ml for lesion in finding.lesions) if finding else 0.0,
        found_types=tuple(sorted({str(lesion.type) for lesion in finding.lesions})) if finding else (),
        refusals=tuple(str(refusal.code) for refusal in answer.refusals),
        infer_ms=answer.timing_ms.get("infer", 0.0),
    )


def summary(cases: list[Case], criteria: Criteria, model: dict[str, str]) -> dict[str, Any]:
    """Return the figures of `cases`; a study that was not read counts as not found."""
    positives = [c for c in cases if c.type != "none"]
    negatives = [c for c in cases if c.type == "none"]
    return {
        "scans": "simulated",
        "studies": len(cases),
        **asdict(criteria),
        "model": model,
        "sensitivity": Proportion(sum(bool(c.present) for c in positives), len(positives)).as_json(),
        "specificity": Proportion(sum(c.present is False for c in negatives), len(negatives)).as_json(),
        "area_under_curve": area_under_curve(
            [c.probability or 0.0 for c in positives], [c.probability or 0.0 for c in negatives]
        ),
        "right_series": Proportion(sum(c.right_series for c in cases), len(cases)).as_json(),
        "sensitivity_by_type": {
            str(kind): Proportion(
                sum(bool(c.present) for c in positives if c.type == kind), sum(c.type == kind for c in positives)
            ).as_json()
            for kind in TYPES
        },
        "right_type_found": {
            str(kind): Proportion(
                sum(str(kind) in c.found_types for c in positives if c.type == kind),
                sum(c.type == kind for c in positives),
            ).as_json()
            for kind in TYPES
        },
        "found_over_true_ml": spread([c.found_ml / c.true_ml for c in positives]) if positives else None,
        "infer_ms": spread([c.infer_ms for c in cases]),
        "cases": [asdict(c) for c in cases],
    }


def table(figures: dict[str, Any]) -> Table:
    """Return the figures as people read them."""
    scores = f"threshold {figures['threshold']}, extended from {figures['extend_score']}"
    shown = Table("figure", "value", title=f"{figures['studies']} simulated studies, {scores}")

    def proportion(values: dict[str, Any]) -> str:
        return str(Proportion(values["part"], values["whole"]))

    for name in ("sensitivity", "specificity", "right_series"):
        shown.add_row(name.replace("_", " "), proportion(figures[name]))
    shown.add_row("area under the curve", f"{figures['area_under_curve']:.3f}")
    for kind, values in figures["sensitivity_by_type"].items():
        right = proportion(figures["right_type_found"][kind])
        shown.add_row(f"sensitivity {kind}", f"{proportion(values)}; called {kind}: {right}")
    for name, unit in (("found_over_true_ml", "of the true mL"), ("infer_ms", "ms a study")):
        values = figures[name]
        if values:
            text = f"median {values['p50']:.2f}, {values['min']:.2f} to {values['max']:.2f}"
            shown.add_row(name.replace("_", " "), f"{text} {unit}")
    return shown


def main(
    studies: Annotated[int, typer.Option(help="How many; half of them without hemorrhage")] = 60,
    seed: Annotated[int, typer.Option(help="Seed of the first study; training uses 1,000,000 and up")] = 5_000_000,
    threshold: Annotated[float | None, typer.Option(help="Class score that counts; else the model's own")] = None,
    extend_score: Annotated[float | None, typer.Option(help="Class score that extends a lesion; else 0.5")] = None,
    processes: Annotated[int, typer.Option(help="Processes that simulate")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
) -> None:
    """Print sensitivity, specificity and right-series share on fresh simulated studies."""
    with tempfile.TemporaryDirectory(prefix="smoke-") as work:
        folder = Path(work)
        extension = {} if extend_score is None else {"extend_score": extend_score}
        settings = with_free_ports(load_settings(finding={"threshold": threshold} | extension), folder / "state")
        with (
            TritonServer(settings.triton, settings.state_dir, site_models=settings.site_models),
            ProcessPoolExecutor(processes) as simulators,
        ):
            detector = TritonDetector(settings.triton)
            pipeline = Pipeline(settings, detector)
            jobs = [simulators.submit(simulate_study, spec, folder / "studies") for spec in specs(studies, seed)]
            cases = []
            for job in track(jobs, "simulating and reading", console=Console(stderr=True)):
                study, truth = job.result()
                cases.append(case(pipeline, study, truth))
                shutil.rmtree(study)  # a study with its thin series takes 150 MB
            figures = summary(cases, pipeline.criteria, asdict(detector.identity))
            detector.close()
    print_figures(figures, table, as_json)


if __name__ == "__main__":
    typer.run(main)
