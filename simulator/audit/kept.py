# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Measured pairs on disk, a file each, so that an audit that was stopped goes on where it was.

A file appears in one step, once its pair is measured. The folder says what its pairs were measured with: pairs of two
simulators, or of two sizes of slices, would give figures of neither.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from simulator.audit.cases import Case, Seen
from simulator.audit.physics import ScannerFigures
from simulator.audit.reader import ReaderFigures
from simulator.manifest import Entry
from simulator.revision import claim as claim_folder
from simulator.revision import simulator_revision

PAIRS: Final = "pairs"
"""The folder of the pairs' files, in the audit's folder."""
_MEASURED_WITH: Final = "measured_with.json"
_MEASURES: Final = ("cases", "headers", "physics", "reader", "surroundings", "threshold")


def claim(out: Path, *, matrix: int) -> Path:
    """Return the folder of pairs in `out`, made if need be.

    Raises
    ------
    ValueError
        If it holds pairs of another simulator, or on slices of another matrix.
    """
    folder = out / PAIRS
    measures = [Path(__file__).with_name(f"{name}.py") for name in _MEASURES]
    claim_folder(folder, _MEASURED_WITH, "pairs", simulator=simulator_revision(measures), matrix=matrix)
    return folder


def keep(case: Case, folder: Path) -> None:
    """Write a measured pair into the folder of pairs."""
    _write(_path(case.entry, folder), dataclasses.asdict(case))


def read_kept(entries: Iterable[Entry], folder: Path) -> list[Case]:
    """Return those of the entries' pairs that the folder of pairs has, in the entries' order."""
    return [_read(_path(entry, folder)) for entry in entries if _path(entry, folder).exists()]


def _path(entry: Entry, folder: Path) -> Path:
    """Return the file of an entry's pair; the same seed of two populations is two heads."""
    return folder / f"{entry.name}-{entry.population.replace(' ', '-')}.json"


def _write(path: Path, values: dict[str, object]) -> None:
    """Write values as JSON, the file whole or not there."""
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(values) + "\n", encoding="utf-8")
    partial.replace(path)


def _read(path: Path) -> Case:
    """Return a pair that `keep` wrote."""
    values = json.loads(path.read_text(encoding="utf-8"))
    scanner = values["scanner"]
    curves = {name: tuple(scanner[name]) for name in ("frequency_per_mm", "power")}
    return Case(
        **values
        | {
            "entry": Entry(**values["entry"]),
            "bleeding": Seen(**values["bleeding"]),
            "healthy": Seen(**values["healthy"]),
            "scanner": ScannerFigures(**scanner | curves),
            "mimics": tuple(values["mimics"]),
            "reader": ReaderFigures(**values["reader"]),
        }
    )
