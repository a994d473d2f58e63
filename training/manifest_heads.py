# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Heads of a manifest to learn from and to validate on: what a fold of a cross-validation is trained with.

The heads lie in one store that all folds share, so that none is simulated twice; a fold's folders hold links to them.
Beside a head's files a `.entry` says which line of a manifest it was made from.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Final

from rich.progress import Progress

from appliance.reading.contract import MATRIX
from simulator.manifest import Entry
from simulator.noise_free import simulate_noise_free
from simulator.population import POPULATIONS
from simulator.recipes import ENRICHED_SEEDS, HELD_OUT, INDEPENDENT_SEEDS
from training.heads import claim_for_heads, find_heads, kept_geometry

VALIDATED: Final = 10
"""One head in so many of each diagnosis is validated on, and not learnt from."""
MOST_FAILED: Final = 10
"""Training goes on while at most one head in so many could not be made."""


def check(entries: Iterable[Entry]) -> None:
    """Refuse studies that figures are reported on.

    Raises
    ------
    ValueError
        If one is of a population with a mechanism that training never draws, or has a seed of a kept cohort.
    """
    for entry in entries:
        if entry.population in HELD_OUT:
            raise ValueError(f"{entry.name} is of the population {entry.population}, kept for figures")
        if entry.seed in INDEPENDENT_SEEDS or entry.seed in ENRICHED_SEEDS:
            raise ValueError(f"{entry.name} has a seed of the cohorts that are kept for figures")


def split(entries: Sequence[Entry]) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Return the studies to learn from and those to validate on: one of ten of each diagnosis, and one at least.

    A head stays whole: with its blood and without it is on the same side.

    Raises
    ------
    ValueError
        If nothing is left to learn from of a diagnosis.
    """
    taken: set[int] = set()
    for diagnosis in sorted({entry.diagnosis for entry in entries}):
        seeds = sorted(entry.seed for entry in entries if entry.diagnosis is diagnosis)
        taken.update(seeds[VALIDATED // 2 :: VALIDATED] or seeds[:1])
    learn = tuple(entry for entry in entries if entry.seed not in taken)
    lacking = {str(entry.diagnosis) for entry in entries} - {str(entry.diagnosis) for entry in learn}
    if lacking:
        raise ValueError(f"too few studies: none is left to learn from of {', '.join(sorted(lacking))}")
    return learn, tuple(entry for entry in entries if entry.seed in taken)


def make(store: Path, cache: Path, entries: Sequence[Entry], workers: int) -> dict[str, BaseException]:
    """Fill `cache` with links to the heads of a manifest, to learn from and to validate on; make those not in `store`.

    Links to other heads are removed: a fold may not learn from what it was not given.

    Returns
    -------
    What went wrong with each study whose head could not be made; it is in neither folder.

    Raises
    ------
    ValueError
        If studies are kept for figures or too few, or a folder holds heads of another simulator; if the store holds a
        head of the same seed and another volume or population, or the cache has heads of its own.
    """
    check(entries)
    sides = dict(zip(("heads", "validation"), split(entries), strict=True))
    for side in sides:
        if kept := [head.name for head in find_heads(cache / side) if not _path(head.folder, head.name).is_symlink()]:
            raise ValueError(f"{cache / side} has heads of its own, {kept[0]} is one; take another --cache")
    for folder in (store, *(cache / side for side in sides)):
        claim_for_heads(folder)
    there = {head.name for head in find_heads(store)}
    for entry in entries:
        if entry.name in there and _stated(store, entry.name) != _described(entry):
            raise ValueError(
                f"{entry.name} in {store} was not made with {_described(entry)}; take another --store, or remove it"
            )
    missing = [entry for entry in entries if entry.name not in there]
    failed: dict[str, BaseException] = {}
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task(f"simulating heads into {store}", total=len(missing))
        running = {pool.submit(make_one, store, entry): entry for entry in missing}
        for done in as_completed(running):
            error = done.exception()
            if error is not None:
                failed[running[done].name] = error
            progress.advance(bar)
    for side, own in sides.items():
        made = {entry.name for entry in own} - failed.keys()
        for head in find_heads(cache / side):
            if head.name not in made:
                _unlink(head.folder, head.name)
        for name in made:
            _link(store, cache / side, name)
    return failed


def is_enough(entries: Sequence[Entry], failed: Collection[str]) -> bool:
    """Return whether a fold can be trained without the heads named in `failed`.

    At most one in `MOST_FAILED` may be missing, and each diagnosis has to be learnt from and validated on.
    """
    if len(failed) * MOST_FAILED > len(entries):
        return False
    kinds = {entry.diagnosis for entry in entries}
    return all({entry.diagnosis for entry in side if entry.name not in failed} == kinds for side in split(entries))


def make_one(store: Path, entry: Entry) -> None:
    """Simulate an entry's head and store it."""
    population = POPULATIONS[entry.population]
    scan = simulate_noise_free(
        entry.seed,
        entry.diagnosis,
        volume_ml=entry.volume_ml,
        population=population,
        kept=kept_geometry(entry.seed, population),
    )
    if scan.matrix != (MATRIX, MATRIX):
        raise ValueError(f"{entry.name} has a matrix of {scan.matrix}, training takes {MATRIX}")
    (store / f"{entry.name}.entry").write_text(_described(entry), encoding="utf-8")
    scan.save(store / entry.name)


def _described(entry: Entry) -> str:
    """Return what a head was made from besides its seed and diagnosis."""
    volume = "the volume of its seed" if entry.volume_ml is None else f"{entry.volume_ml:g} mL"
    return f"{volume}, population {entry.population}"


def _stated(store: Path, name: str) -> str:
    """Return what a stored head says that it was made from; empty if it does not say."""
    path = store / f"{name}.entry"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _path(folder: Path, name: str) -> Path:
    """Return the file of a head that says that it is there."""
    return folder / f"{name}.json"


def _unlink(folder: Path, name: str) -> None:
    """Remove the links of a head from a folder, the one that says that it is there first."""
    for path in sorted(folder.glob(f"{name}.*"), key=lambda path: path.suffix != ".json"):
        path.unlink()


def _link(store: Path, folder: Path, name: str) -> None:
    """Link a stored head's files into a folder, the one that says that it is there last."""
    for path in sorted(store.glob(f"{name}.*"), key=lambda path: path.suffix == ".json"):
        link = folder / path.name
        if not link.is_symlink():
            link.symlink_to(path.resolve())
