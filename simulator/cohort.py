# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A cohort's studies, made from its manifest: streamed into the caller's hands, or written to a folder by processes.

`studies` yields scans and leaves nothing on disk. `make` fills a folder: each study appears in one step under its name,
what is there already is left alone, and one study that fails stops no other.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.geometry import ScanGeometry
from simulator.manifest import Entry, read, write
from simulator.population import POPULATIONS
from simulator.study import StudySpec, simulate, write_scan
from simulator.truth import TRUTH_JSON

MANIFEST: Final = "manifest.csv"
"""The manifest of what a folder holds, kept in it."""
STUDY_JSON: Final = "study.json"


class Form(StrEnum):
    """How a study of a cohort lies in its folder."""

    DICOM = "dicom"
    """DICOM files with `truth.json` and `truth.npy`, as `study` writes them."""
    ARRAYS = "arrays"
    """`hu.npy` (int16) and `labels.npy` (uint8), both [Z, Y, X], and `study.json`: spacings, positions and volumes."""

    @property
    def stated_in(self) -> str:
        """The file that every study of this form has, and none of another."""
        return TRUTH_JSON if self is Form.DICOM else STUDY_JSON


@dataclass(frozen=True)
class CohortScan:
    """The axial soft-tissue series of one study of a cohort, in memory.

    Attributes
    ----------
    hu: int16 [Z, Y, X], HU, in the contract's orientation.
    labels: uint8 [Z, Y, X], 0 none, 1 iph, 2 edh_sdh, 3 sah.
    geometry: where the planes lie.
    volumes_ml: mL of labelled voxels by the name of the type, for the types that are there.
    """

    entry: Entry
    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    geometry: ScanGeometry = field(repr=False)
    volumes_ml: dict[str, float]


def usable_cores() -> int:
    """Return on how many cores this process may run."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def spec_of(entry: Entry) -> StudySpec:
    """Return what the entry's study is to be, everything else drawn from its seed."""
    return StudySpec(
        seed=entry.seed,
        diagnosis=entry.diagnosis,
        volume_ml=entry.volume_ml,
        population=POPULATIONS[entry.population].name,
    )


def scan_of(entry: Entry) -> CohortScan:
    """Return the scan of an entry: some seconds of one core."""
    scan = simulate(spec_of(entry))
    return CohortScan(
        entry=entry,
        hu=scan.hu,
        labels=scan.labels,
        geometry=scan.geometry,
        volumes_ml={str(kind): volume for kind, volume in scan.volumes_ml.items()},
    )


class IncompleteCohortError(RuntimeError):
    """Some studies of a cohort could not be made; its message names each with what went wrong."""


def studies(manifest: str | Path | Iterable[Entry], *, workers: int = 1) -> Iterator[CohortScan]:
    """Yield the scans of a cohort in the manifest's order, without files.

    Parameters
    ----------
    manifest: a shipped manifest's name, a manifest file, or entries.
    workers: processes that simulate ahead of the caller, at most two scans each; 1 simulates in this process.

    Raises
    ------
    IncompleteCohortError
        After the last scan, if some could not be made: figures on the others are not figures on the cohort.
    """
    entries = iter(read(manifest) if isinstance(manifest, str | Path) else manifest)
    failed = []
    for entry, scan in _attach_simulation(entries) if workers == 1 else _ahead(entries, workers):
        try:
            made = scan()
        except Exception as error:
            failed.append(f"{entry.name} ({entry.population}): {_describe(error)}")
        else:
            yield made
    if failed:
        raise IncompleteCohortError(f"{len(failed)} studies could not be made: {'; '.join(failed)}")


def _attach_simulation(entries: Iterator[Entry]) -> Iterator[tuple[Entry, Callable[[], CohortScan]]]:
    """Yield each entry with what simulates it."""
    for entry in entries:
        yield entry, functools.partial(scan_of, entry)


def _ahead(entries: Iterator[Entry], workers: int) -> Iterator[tuple[Entry, Callable[[], CohortScan]]]:
    """Yield each entry with what waits for its scan, which processes simulate ahead."""
    with ProcessPoolExecutor(workers) as pool:
        ahead = [(entry, pool.submit(scan_of, entry)) for entry in islice(entries, 2 * workers)]
        try:
            while ahead:
                entry, coming = ahead.pop(0)
                yield entry, coming.result
                ahead += [(entry, pool.submit(scan_of, entry)) for entry in islice(entries, 1)]
        finally:  # a caller that stops early does not wait for scans that nobody will see
            pool.shutdown(cancel_futures=True)


def find_missing(entries: Iterable[Entry], folder: Path) -> list[Entry]:
    """Return the entries whose study is not in `folder` yet."""
    return [entry for entry in entries if not (folder / entry.name).is_dir()]


def claim(entries: tuple[Entry, ...], folder: Path, form: Form) -> None:
    """Make `folder` this cohort's, with its manifest in it, for studies of one form.

    Raises
    ------
    ValueError
        If it holds studies of another cohort, or of another form: two would be one to whoever reads it.
    """
    path = folder / MANIFEST
    if path.exists():
        strange = {entry.name for entry in set(read(path)) - set(entries)}
        if strange:
            raise ValueError(f"{folder} holds another cohort: {len(strange)} of its studies are not in this one")
    for other in Form:
        held = [entry for entry in entries if other is not form and (folder / entry.name / other.stated_in).exists()]
        if held:
            raise ValueError(
                f"{folder} holds {len(held)} studies as {other}, {held[0].name} among them; go on with --form {other}, "
                "or choose another --out"
            )
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / f".{MANIFEST}.partial"
    write(entries, partial)
    partial.replace(path)


def make(entries: Iterable[Entry], folder: Path, form: Form, workers: int) -> Iterator[tuple[Entry, str | None]]:
    """Write studies into `folder`, a folder each; yield each entry when it is done, with what went wrong, or None.

    Parameters
    ----------
    workers: processes.
    """
    coming = iter(entries)
    running: dict[Future[None], Entry] = {}
    with ProcessPoolExecutor(workers) as pool:
        try:
            while True:
                # One more than there are workers: none waits for the caller.
                for entry in islice(coming, workers + 1 - len(running)):
                    try:
                        running[pool.submit(make_one, entry, folder, form)] = entry
                    except BrokenProcessPool as broken:  # a worker was killed, and the pool takes no more
                        yield entry, _describe(broken)
                if not running:
                    return
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    error = future.exception()
                    yield running.pop(future), None if error is None else _describe(error)
        finally:
            pool.shutdown(cancel_futures=True)


def _describe(error: BaseException) -> str:
    """Return an error in a line."""
    return f"{type(error).__name__}: {error}"


def make_one(entry: Entry, folder: Path, form: Form) -> None:
    """Write one study as `folder`/NAME; until it is whole it has a hidden name."""
    partial = folder / f".{entry.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was stopped
    partial.mkdir(parents=True)
    _WRITERS[form](entry, partial)
    partial.replace(folder / entry.name)


def _write_dicom(entry: Entry, folder: Path) -> None:
    """Write the study's DICOM files and truth."""
    spec = spec_of(entry)
    write_scan(simulate(spec), spec, folder)


def _write_arrays(entry: Entry, folder: Path) -> None:
    """Write the study's arrays, and in `study.json` what they do not say."""
    scan = scan_of(entry)
    np.save(folder / "hu.npy", scan.hu)
    np.save(folder / "labels.npy", scan.labels)
    stated = {
        "seed": entry.seed,
        "diagnosis": str(entry.diagnosis),
        "population": entry.population,
        "volumes_ml": scan.volumes_ml,
        "wanted_ml": spec_of(entry).wanted_ml,
        "pixel_spacing_mm": scan.geometry.pixel_spacing_mm,
        "positions_mm": scan.geometry.positions_mm,
        "thickness_mm": scan.geometry.thickness_mm,
        "spans_mm": scan.geometry.spans_mm.tolist(),
        "tilt_deg": scan.geometry.tilt_deg,
    }
    (folder / STUDY_JSON).write_text(json.dumps(stated, indent=2) + "\n", encoding="utf-8")


_WRITERS: Final[dict[Form, Callable[[Entry, Path], None]]] = {Form.DICOM: _write_dicom, Form.ARRAYS: _write_arrays}
