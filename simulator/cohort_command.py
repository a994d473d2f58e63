# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m simulator cohort`: many studies in a folder, with a progress bar; stop it and start it again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulator.cohort import MANIFEST, Form, claim, find_missing, make, usable_cores
from simulator.manifest import Entry, read, shipped_manifests
from simulator.population import POPULATIONS, TRAINING
from simulator.progress import progress_bar
from simulator.recipes import FIGURE_SEEDS, TRAINING_SEEDS, draw_entries, first_seed_of


def cohort(
    out: Annotated[Path, typer.Option(help="Folder; a study that is there already is not made again.")],
    studies: Annotated[
        int | None, typer.Option(min=1, help="How many. All of a manifest if not given; needed without one.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"The first seed. If not given {TRAINING_SEEDS.start}, or {FIGURE_SEEDS.start} of another population "
            "than training's; not for manifests.",
        ),
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(help=f"A shipped cohort ({', '.join(shipped_manifests())}) or a manifest file.")
    ] = None,
    population: Annotated[
        str | None,
        typer.Option(help=f"What heads are drawn from: {', '.join(POPULATIONS)}. Manifests say it themselves."),
    ] = None,
    form: Annotated[
        Form,
        typer.Option(help="DICOM files with truth.json, about 17 MB a study, or arrays (hu.npy, labels.npy), 25 MB."),
    ] = Form.DICOM,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes. One a core if not given.")] = None,
) -> None:
    """Make many studies: a shipped cohort, one of your own manifest, or any number drawn from a seed on.

    Of ten drawn studies six bleed, two of each type, and two are the heads of two that bleed without the blood.
    Each study gets a folder FINDING-SEED, which appears once it is whole; manifest.csv beside them lists the cohort.
    A run that is stopped goes on where it was when it is started again. Studies that fail are named at the end, and
    the exit status is 1; the others are made.

    Examples: python -m simulator cohort --studies 20 --seed 1000000 --out var/cohort

    python -m simulator cohort --manifest independent --form arrays --out var/independent
    """
    try:
        entries = _entries(studies, seed, manifest, population)
        claim(entries, out, form)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    wanted = find_missing(entries, out)
    failed: list[tuple[Entry, str]] = []
    with progress_bar() as progress:
        bar = progress.add_task("simulating studies", total=len(entries), completed=len(entries) - len(wanted))
        for entry, error_text in make(wanted, out, form, workers or usable_cores()):
            if error_text is not None:
                failed.append((entry, error_text))
            progress.advance(bar)
    typer.echo(f"{len(entries) - len(failed)} of {len(entries)} studies in {out}, listed in {out / MANIFEST}")
    for entry, error_text in failed:
        typer.echo(f"failed: {entry.name} ({entry.population}): {error_text}", err=True)
    if failed:
        raise typer.Exit(1)


def _entries(studies: int | None, seed: int | None, manifest: str | None, population: str | None) -> tuple[Entry, ...]:
    """Return the entries that the options ask for.

    Raises
    ------
    ValueError
        If they contradict one another, or the manifest cannot be read.
    """
    if manifest is not None:
        if seed is not None or population is not None:
            raise ValueError("a manifest says seeds and populations itself; leave out --seed and --population")
        return read(manifest)[:studies]
    if studies is None:
        raise ValueError("say how many --studies, or which --manifest")
    name = population or TRAINING.name
    if name not in POPULATIONS:
        raise ValueError(f"--population is one of {', '.join(POPULATIONS)}, not {name!r}")
    return draw_entries(studies, first_seed_of(POPULATIONS[name]) if seed is None else seed, POPULATIONS[name])
