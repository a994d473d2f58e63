# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One pair of the audit: a head with blood and the same head without, reduced to the figures that are kept of them."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.audit.headers import digests, features, written_headers
from simulator.audit.physics import ScannerFigures, blood_hu, measure_scanner, tissue_hu
from simulator.audit.reader import ReaderFigures, read_pair
from simulator.audit.surroundings import mask_blood, statistics_of
from simulator.audit.threshold import largest_dense_ml
from simulator.head import SimulatedHead
from simulator.manifest import Entry
from simulator.scan import SimulatedScan
from simulator.study import StudySpec, simulate, write_scan

SAME_HU: Final = 0.5


@dataclass(frozen=True)
class Seen:
    """What is kept of one scan of a pair: features of its headers and of its image around the bleed, its densest piece.

    Attributes
    ----------
    dense_ml: the largest piece above 60 HU inside the skull.
    digests: a hash of each attribute of its files, whatever the features leave out.
    """

    headers: dict[str, float | str]
    surroundings: dict[str, float]
    dense_ml: float
    digests: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """One pair.

    Attributes
    ----------
    entry: of the study with blood.
    bleeding, healthy: the two scans.
    volume_ml: labelled voxels of the type asked for.
    volumes_ml: labelled voxels by type; several types may bleed.
    masked: the share of voxels that the statistics leave out.
    changed_bone: share of the voxels outside the cavity whose HU differ between the two heads.
    tissue_hu, blood_hu: medians of pure tissue and of pure blood before the scanner.
    scanner: what the scanner does to a phantom.
    mimics: the names of what else the head has: what may explain a figure out of the ordinary.
    reader: what a reader of CT would measure.
    """

    entry: Entry
    bleeding: Seen
    healthy: Seen
    volume_ml: float
    volumes_ml: dict[str, float]
    masked: float
    changed_bone: float
    tissue_hu: dict[str, float]
    blood_hu: float | None
    scanner: ScannerFigures
    mimics: tuple[str, ...] = ()
    reader: ReaderFigures = field(default_factory=ReaderFigures)


def cases(entries: Iterable[Entry], *, matrix: int, workers: int = 1) -> Iterator[tuple[Entry, Case | str]]:
    """Yield every positive entry with its pair, or with what went wrong: one that fails stops no other.

    Several workers yield them as they are done.

    Parameters
    ----------
    matrix: rows and columns of the slices.
    workers: processes; 1 makes the pairs in this one.
    """
    if workers == 1:
        for entry in entries:
            try:
                yield entry, case_of(entry, matrix)
            except Exception as error:
                yield entry, _describe(error)
        return
    with ProcessPoolExecutor(workers) as pool:
        running = {pool.submit(case_of, entry, matrix): entry for entry in entries}
        try:
            for future in as_completed(running):
                wrong = future.exception()
                yield running[future], future.result() if wrong is None else _describe(wrong)
        finally:
            pool.shutdown(cancel_futures=True)


def case_of(entry: Entry, matrix: int) -> Case:
    """Return the measured pair of a positive entry, on slices of a matrix."""
    specs = [
        StudySpec(one.seed, one.diagnosis, volume_ml=one.volume_ml, population=one.population, matrix=matrix)
        for one in (entry, entry.without_blood)
    ]
    bleeding, healthy = (simulate(spec) for spec in specs)
    hidden = mask_blood(bleeding.labels, bleeding.geometry)
    volumes = {str(kind): volume for kind, volume in bleeding.volumes_ml.items()}
    return Case(
        entry=entry,
        bleeding=_cut_cells(bleeding, specs[0], hidden),
        healthy=_cut_cells(healthy, specs[1], hidden),
        volume_ml=volumes.get(str(entry.diagnosis), 0.0),
        volumes_ml=volumes,
        masked=float(hidden.mean()),
        changed_bone=changed_outside(bleeding.head, healthy.head),
        tissue_hu=tissue_hu(healthy.head),
        blood_hu=blood_hu(bleeding.head),
        scanner=measure_scanner(healthy.scanner, entry.seed),
        mimics=tuple(name for name, _ in healthy.head.anatomy.mimics.present),
        reader=read_pair(bleeding, healthy),
    )


def _describe(error: BaseException) -> str:
    """Return an error in a line."""
    return f"{type(error).__name__}: {error}"


def changed_outside(bleeding: SimulatedHead, healthy: SimulatedHead) -> float:
    """Return the share of voxels outside the skull's cavity whose HU differ between two heads: 0 in a pair."""
    outside = np.ones(healthy.hu.shape, bool)
    outside[healthy.anatomy.cavity_box] = healthy.anatomy.cavity <= 0
    return float((np.abs(bleeding.hu - healthy.hu)[outside] > SAME_HU).mean())


def _cut_cells(scan: SimulatedScan, spec: StudySpec, hidden: NDArray[np.bool_]) -> Seen:
    """Return what is kept of one scan."""
    with tempfile.TemporaryDirectory() as folder:
        headers = written_headers(write_scan(scan, spec, Path(folder)))
    dense_ml = largest_dense_ml(scan.hu, scan.geometry)
    return Seen(features(headers), statistics_of(scan.hu, hidden), dense_ml, digests(headers))
