# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The commands of `python -m benchmarks.accuracy`: the report, the threshold, cross-validation."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from appliance.errors import ApplianceError
from appliance.reading.contract import EXTEND_SCORE, JOIN_MM
from appliance.reading.lesions import Criteria
from benchmarks.accuracy import folds as cross_validation
from benchmarks.accuracy import gallery, log, perturbed_studies, plots
from benchmarks.accuracy import threshold as thresholds
from benchmarks.accuracy.conditions import AS_DRAWN, Condition, conditions_named
from benchmarks.accuracy.figures import Call, full_set
from benchmarks.accuracy.network import Model, Network, other_model, shipped_model
from benchmarks.accuracy.reading import at_threshold
from benchmarks.accuracy.report import Report
from benchmarks.accuracy.sample import DEVELOPMENT, development
from benchmarks.accuracy.store import Settings, Store
from simulator.manifest import Entry, read
from simulator.progress import progress_bar

OUT: Final = Path("var/accuracy")

app = typer.Typer(
    help="The paper's evaluation on simulated studies, through the shipped ONNX file and the service's own code.",
    no_args_is_help=True,
    add_completion=False,
)

ManifestArgument = Annotated[
    str, typer.Argument(help=f"{DEVELOPMENT} (a sample of its own), a shipped cohort's name, or a manifest file.")
]
StudiesOption = Annotated[int | None, typer.Option(min=1, help="Only the manifest's first so many.")]
OutOption = Annotated[Path, typer.Option(help="Folder of records and reports; a run that was stopped goes on there.")]
WorkersOption = Annotated[int, typer.Option(min=1, help="Processes; each simulates and reads.")]
ThreadsOption = Annotated[int, typer.Option(min=1, help="Threads of ONNX Runtime in each process.")]
ModelOption = Annotated[Path | None, typer.Option(help="An ONNX file in place of the shipped one.")]


@app.command()
def report(
    manifest: ManifestArgument = DEVELOPMENT,
    studies: StudiesOption = None,
    out: OutOption = OUT,
    workers: WorkersOption = 1,
    threads: ThreadsOption = 1,
    model: ModelOption = None,
    threshold: Annotated[
        str | None, typer.Option(help="A number, or the file that `threshold` wrote. The model's own if not given.")
    ] = None,
    conditions: Annotated[
        str, typer.Option(help='Ways to scan the studies again, with commas between, or "all"; none if not given.')
    ] = "",
    condition_studies: Annotated[int, typer.Option(min=1, help="Of so many of the first studies.")] = 60,
    again: Annotated[
        str | None, typer.Option(help="Why these weights read a kept cohort a second time; it is logged.")
    ] = None,
) -> None:
    """Read a cohort and write its report: report.md, report.json and plots, below --out in a folder of its own.

    Studies are simulated as they are read. The independent and the enriched cohort are read once with each set of
    weights, and every reading is logged in benchmarks/accuracy/readings.jsonl, to be committed.
    """
    with _refusals():
        entries = _entries(manifest, studies)
        shipped = other_model(model) if model else shipped_model()
        asked = conditions_named(conditions)
        criteria = _criteria(threshold, entries, shipped)
        store = Store(out, Settings.of(shipped, criteria))
        work = _work(store, entries, asked, condition_studies)
        cohort = log.cohort_of_log(entries)
        if cohort and work:
            log.begin(log.READINGS, cohort, shipped.identity.sha256, store.settings.simulator, len(work), again=again)
        failed = _read(store, work, shipped, criteria, workers, threads)
        calls, scanned = _readings(store, entries, asked, condition_studies)
        made = Report(
            cohort=manifest if studies is None else f"{manifest}, the first {studies}",
            command=shlex.join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]]),
            model=asdict(shipped.identity),
            simulator=store.settings.simulator,
            threshold=_threshold_words(threshold, criteria),
            calls=calls,
            conditions=scanned,
            failed=failed,
        )
        folder = out / Path(manifest).stem
        found = _write(made, folder, {one.record.name: store.picture(one.record) for one in calls})
        if cohort:
            figures = full_set(calls).as_json() | {"studies": len(calls), "threshold": criteria.threshold}
            log.end(log.READINGS, cohort, shipped.identity.sha256, store.settings.simulator, figures)
    typer.echo(found)
    raise typer.Exit(1 if failed else 0)


@app.command("threshold")
def choose(
    manifest: ManifestArgument = "validation",
    studies: StudiesOption = None,
    out: OutOption = OUT,
    workers: WorkersOption = 1,
    threads: ThreadsOption = 1,
    model: ModelOption = None,
) -> None:
    """Choose the threshold at which the worst group of a validation cohort is read best; write it to threshold.json.

    A group is a population's studies with blood of one type beside its studies without; at least 300 studies without
    blood are needed, and studies of the kept cohorts are refused. A report that takes the threshold refuses studies
    that chose it.
    """
    with _refusals():
        entries = _entries(manifest, studies)
        thresholds.candidates(entries)
        shipped = other_model(model) if model else shipped_model()
        criteria = at_threshold(shipped.suggested_threshold, JOIN_MM)
        store = Store(out, Settings.of(shipped, criteria))
        failed = _read(store, _work(store, entries, (), 0), shipped, criteria, workers, threads)
        if failed:
            raise ValueError(f"{len(failed)} studies could not be read; a threshold is chosen on all or none")
        calls, _ = _readings(store, entries, (), 0)
        choice = thresholds.choose_threshold([one.record for one in calls], shipped.identity.sha256)
        path = out / "threshold.json"
        thresholds.write(choice, path)
    typer.echo(f"threshold {choice.threshold:g}, written to {path}; its groups, the worst first:")
    for group in choice.groups:
        typer.echo(
            f"  {group.name}: sensitivity {group.sensitivity:.3f} of {group.positives}, specificity "
            f"{group.specificity:.3f} of {group.negatives}"
        )


@app.command("cross-validate")
def cross_validate(
    manifest: ManifestArgument = "validation",
    folds: Annotated[int, typer.Option(min=2, help="How many parts.")] = 5,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Train `edge` from scratch for so many steps on each fold without model.")
    ] = None,
    train: Annotated[
        str | None,
        typer.Option(
            help="A command of your own in place of --steps: trains a fold and exports its ONNX file. {learn} is the "
            "manifest to learn from, {fold} a folder for its own, {model} the file to write."
        ),
    ] = None,
    studies: StudiesOption = None,
    out: OutOption = OUT,
    workers: WorkersOption = 1,
    threads: ThreadsOption = 1,
) -> None:
    """Train a network for each fold, read with it the studies that it never saw, and report on all folds together.

    A fold's folder (--out/folds/1 and on) holds its manifests and its model; what is there is not made again. Each
    network calls studies at the threshold that its own metadata suggest.
    """
    with _refusals():
        entries = _entries(manifest, studies)
        if log.cohort_of_log(entries):
            raise ValueError("a kept cohort is not learnt from; take another manifest")
        if steps is not None and train is not None:
            raise ValueError("--steps trains here and --train elsewhere; give one of them")

        def commands(folder: Path) -> list[list[str]]:
            if train is not None:
                return cross_validation.given_command(folder, train)
            return [] if steps is None else cross_validation.training_commands(folder, steps)

        calls: list[Call] = []
        failed: dict[str, str] = {}
        said: list[str] = []
        revisions: dict[str, None] = {}
        pictures: dict[str, Path] = {}
        for number, (learn, judge) in enumerate(cross_validation.split(entries, folds), 1):
            place = (out / "folds" / str(number)).absolute()
            fold = other_model(cross_validation.train_fold(place, learn, judge, commands(place)))
            criteria = at_threshold(fold.suggested_threshold, JOIN_MM)
            store = Store(out, Settings.of(fold, criteria))
            failed |= _read(store, _work(store, judge, (), 0), fold, criteria, workers, threads)
            own, _ = _readings(store, judge, (), 0)
            calls += own
            pictures |= {one.record.name: store.picture(one.record) for one in own}
            said.append(f"{criteria.threshold:g}")
            revisions[store.settings.simulator] = None
            sha256 = fold.identity.sha256
        made = Report(
            cohort=f"{manifest}, {folds}-fold cross-validation",
            command=shlex.join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]]),
            model={"name": f"{folds} networks, the last", "version": str(folds), "sha256": sha256},
            simulator=", ".join(revisions),
            threshold=f"each network's own: {', '.join(said)}",
            calls=calls,
            conditions={},
            failed=failed,
        )
        found = _write(made, out / f"{Path(manifest).stem}-folds", pictures)
    typer.echo(found)
    raise typer.Exit(1 if failed else 0)


@app.command("perturb")
def perturb_studies(
    manifest: ManifestArgument = DEVELOPMENT,
    studies: Annotated[int, typer.Option(min=1, help="The manifest's first so many.")] = 6,
    out: OutOption = OUT,
    threads: ThreadsOption = 1,
    model: ModelOption = None,
    second: Annotated[Path | None, typer.Option(help="Another network's ONNX file, to be read with too.")] = None,
    bound_hu: Annotated[int, typer.Option(min=1, help="By how much a voxel may change, HU.")] = 4,
    calls: Annotated[int, typer.Option(min=1, help="Of the network, for each study, by the search.")] = 60,
) -> None:
    """Search for small changes that turn a study's answer, and read both with what may withstand them.

    Writes perturbation.json below --out, and continues where it was stopped.
    """
    with _refusals():
        entries = _entries(manifest, studies)
        if log.cohort_of_log(entries):
            raise ValueError("a kept cohort is read once, as it is; take another manifest")
        shipped = other_model(model) if model else shipped_model()
        network = Network(shipped, threads)
        beside = Network(other_model(second), threads) if second else None
        threshold = shipped.suggested_threshold
        folder = out / "perturbation"
        with progress_bar(Console(stderr=True)) as progress:
            bar = progress.add_task("simulating and searching", total=len(entries))
            found = perturbed_studies.kept(
                folder,
                entries,
                network,
                beside,
                threshold,
                perturbed_studies.Attack(bound_hu, calls),
                lambda _: progress.advance(bar),
            )
        told = {
            "command": shlex.join(["python", "-m", "benchmarks.accuracy", *sys.argv[1:]]),
            "model": asdict(shipped.identity),
            "threshold": threshold,
            "bound_hu": bound_hu,
            "rows": perturbed_studies.summary(found, threshold),
            "studies": [asdict(one) for one in found],
        }
        path = folder / "perturbation.json"
        path.write_text(json.dumps(told, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    typer.echo(perturbed_studies.markdown(found, threshold))
    typer.echo(f"written to {path}")


@contextmanager
def _refusals() -> Iterator[None]:
    """Say what was refused in one line, and end with the status 2."""
    try:
        yield
    except (ValueError, ApplianceError) as error:
        typer.echo(f"refused: {error}", err=True)
        raise typer.Exit(2) from error


def _entries(manifest: str, studies: int | None) -> tuple[Entry, ...]:
    """Return the first studies of a manifest, or of the development sample."""
    if manifest == DEVELOPMENT:
        return development(100 if studies is None else studies)
    entries = read(manifest)
    if studies is not None and studies > len(entries):
        raise ValueError(f"{manifest} has {len(entries)} studies, not {studies}")
    return entries[:studies]


def _criteria(given: str | None, entries: Sequence[Entry], model: Model) -> Criteria:
    """Return the service's criteria at the threshold asked for."""
    if given is None:
        value = model.suggested_threshold
    elif Path(given).suffix == ".json":
        choice = thresholds.read(Path(given))
        choice.check(entries, model.identity.sha256)
        value = choice.threshold
    else:
        try:
            value = float(given)
        except ValueError as error:
            raise ValueError(f"--threshold is a number or a .json file that `threshold` wrote, not {given}") from error
    if not 0 < value <= 1:
        raise ValueError(f"a threshold lies above 0 and is at most 1, not {value:g}")
    return at_threshold(value, JOIN_MM)


def _threshold_words(given: str | None, criteria: Criteria) -> str:
    """Return the threshold in words."""
    source = "the model's own" if given is None else f"of {given}" if given.endswith(".json") else "given"
    return f"{criteria.threshold:g} ({source}); lesions extended from {min(EXTEND_SCORE, criteria.threshold):g}"


def _work(
    store: Store, entries: Sequence[Entry], conditions: Sequence[Condition], condition_studies: int
) -> list[tuple[Entry, tuple[str, ...]]]:
    """Return what is still to be read: the first studies under every condition, the others as drawn."""
    some = entries[:condition_studies]
    return store.find_missing(some, (AS_DRAWN, *conditions)) + store.find_missing(entries[len(some) :], (AS_DRAWN,))


def _read(
    store: Store,
    work: Sequence[tuple[Entry, tuple[str, ...]]],
    model: Model,
    criteria: Criteria,
    workers: int,
    threads: int,
) -> dict[str, str]:
    """Read what is missing, with a bar; return what went wrong by study."""
    failed = {}
    with progress_bar(Console(stderr=True)) as progress:
        bar = progress.add_task("simulating and reading", total=len(work))
        for entry, error in store.read_missing(work, model, criteria, workers=workers, threads=threads):
            if error is not None:
                failed[f"{entry.name} ({entry.population})"] = error
                progress.console.print(f"failed: {entry.name} ({entry.population}): {error}", markup=False)
            progress.advance(bar)
    return failed


def _readings(
    store: Store, entries: Sequence[Entry], conditions: Sequence[Condition], condition_studies: int
) -> tuple[list[Call], dict[str, list[Call]]]:
    """Return the calls as drawn, and those under each condition; studies without a record are left out.

    Raises
    ------
    ValueError
        If there is not one.
    """
    threshold = store.settings.threshold

    def under(some: Sequence[Entry], condition: Condition) -> list[Call]:
        kept = (store.record(entry, condition) for entry in some)
        return [Call(record, threshold) for record in kept if record is not None]

    calls = under(entries, AS_DRAWN)
    if not calls:
        raise ValueError("not one study could be read; see what failed above")
    return calls, {one.name: under(entries[:condition_studies], one) for one in conditions}


def _write(made: Report, folder: Path, pictures: dict[str, Path]) -> str:
    """Write a report into a folder and return what was written where, with the main figures."""
    drawn = plots.draw(folder / "plots", made.calls, made.rows)
    figures = made.as_json()
    there = {name: path for name, path in pictures.items() if path.exists()}
    drawn += gallery.draw(folder / "plots", figures["errors"], there)
    (folder / "report.json").write_text(json.dumps(figures, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "report.md").write_text(made.markdown(drawn), encoding="utf-8")
    whole = full_set(made.calls)
    return (
        f"{len(made.calls)} simulated studies: AUC {whole.auc}; sensitivity {whole.sensitivity}; "
        f"specificity {whole.specificity}\n{folder / 'report.md'}, report.json, plots/"
    )
