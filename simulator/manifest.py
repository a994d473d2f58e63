# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A cohort as a list: one line a study, with the seed and the parameters that make it. No file of a study is kept.

A manifest is a CSV file of four columns: `seed`, `diagnosis` (none, iph, edh_sdh, sah), `volume_ml` (empty: none, or
drawn from the seed) and `population` (a name in `population.POPULATIONS`). What a line gives never depends on the
others.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from simulator.diagnosis import Diagnosis
from simulator.population import POPULATIONS, TRAINING

COLUMNS: Final = ("seed", "diagnosis", "volume_ml", "population")
SHIPPED: Final = Path(__file__).parent / "manifests"
"""Folder of the manifests that come with the simulator, each `NAME.csv`."""


@dataclass(frozen=True)
class Entry:
    """One study of a cohort.

    Attributes
    ----------
    seed: of the head, the scanner and the header.
    diagnosis: the type of blood, or none.
    volume_ml: volume of the labelled voxels, mL; None for none, or to be drawn from the seed.
    population: name of what the head is drawn from.
    """

    seed: int
    diagnosis: Diagnosis
    volume_ml: float | None = None
    population: str = TRAINING.name

    def __post_init__(self) -> None:
        """Take the diagnosis by its name, and refuse what no study can be."""
        object.__setattr__(self, "diagnosis", Diagnosis(self.diagnosis))
        if self.seed < 0:
            raise ValueError(f"a seed is 0 or more, not {self.seed}")
        if self.population not in POPULATIONS:
            raise ValueError(f"population is one of {', '.join(POPULATIONS)}, not {self.population!r}")
        if self.volume_ml is not None and (self.diagnosis is Diagnosis.NONE or self.volume_ml <= 0):
            raise ValueError(f"{self.diagnosis} of {self.volume_ml} mL: none has no volume, and blood has one above 0")

    @property
    def name(self) -> str:
        """Diagnosis and seed: what the study's folder or files are called; no other study of a cohort has it."""
        return f"{self.diagnosis}-{self.seed}"

    @property
    def without_blood(self) -> Entry:
        """The matched negative: the same head, scanner and mimics without the blood."""
        return replace(self, diagnosis=Diagnosis.NONE, volume_ml=None)


def shipped_manifests() -> dict[str, Path]:
    """Return the shipped manifests by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.csv"))}


def read(manifest: str | Path) -> tuple[Entry, ...]:
    """Return the entries of a shipped manifest (by its name) or of a manifest file (by its path).

    Raises
    ------
    ValueError
        If there is no such manifest, or a line of it is no study; the message names the line.
    """
    path = shipped_manifests().get(str(manifest), Path(manifest))
    if not path.is_file():
        raise ValueError(f"{manifest} is neither a manifest file nor one of {', '.join(shipped_manifests())}")
    entries = []
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ValueError(f"{path}: the first line of a manifest is {','.join(COLUMNS)}")
        for number, row in enumerate(rows, 2):
            try:
                volume = float(row["volume_ml"]) if row["volume_ml"] else None
                entries.append(Entry(int(row["seed"]), Diagnosis(row["diagnosis"]), volume, row["population"]))
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
    if not entries or len({entry.name for entry in entries}) < len(entries):
        raise ValueError(f"{path}: a cohort has at least one study, and a seed once with each diagnosis")
    return tuple(entries)


def write(entries: Iterable[Entry], path: Path) -> None:
    """Write a manifest that `read` gives back."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for entry in entries:
            volume = "" if entry.volume_ml is None else f"{entry.volume_ml:g}"
            rows.writerow((entry.seed, str(entry.diagnosis), volume, entry.population))
