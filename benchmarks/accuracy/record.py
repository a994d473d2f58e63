# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of one study: a small file, from which every figure of a report can be made again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry


@dataclass(frozen=True)
class FoundLesion:
    """One lesion of the service's answer.

    Attributes
    ----------
    type: its type, as in `HemorrhageType`.
    volume_ml, abc2_ml: mL; ABC/2 of IPH alone.
    confidence: highest class score of its detections.
    true_ml: how much of it is blood of any type, mL; 0 is a false lesion.
    cause: why a false lesion of a study without blood was taken for one, by the simulator's truth; "" elsewhere.
    facts: what the cause was judged by.
    """

    type: str
    volume_ml: float
    abc2_ml: float | None
    confidence: float
    true_ml: float
    cause: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrueLesion:
    """One lesion of the truth: labelled voxels of a type within the service's joining distance.

    Attributes
    ----------
    type: its type.
    volume_ml, abc2_ml: mL of its labelled voxels; ABC/2 of IPH alone.
    contrast_hu: its mean minus that of the tissue around it in the same slices, HU; None where there is none.
    score: highest class score of a detection whose mask touches it, 0 without one.
    """

    type: str
    volume_ml: float
    abc2_ml: float | None
    contrast_hu: float | None
    score: float


@dataclass(frozen=True)
class Operating:
    """The service's lesions at one threshold, for the free-response ROC: true lesions hit, and false lesions."""

    threshold: float
    hit: int
    false: int


@dataclass(frozen=True)
class Blood:
    """Blood of one type in mL: labelled, found, and labelled and found."""

    true_ml: float
    found_ml: float
    shared_ml: float


@dataclass(frozen=True)
class Record:
    """One study, read once under one condition.

    Attributes
    ----------
    seed, diagnosis, volume_ml, population: the manifest's line.
    condition: how it was scanned.
    error: why the study could not be made or read, "" elsewhere; nothing below means anything then.
    slices, spacing_mm, pixel_mm, thickness_mm, tilt_deg: the series.
    score: the study's: the highest class score of any detection.
    type_scores: the same by type.
    blood: by type.
    shared_ml, found_ml, true_ml: blood of any type, mL.
    found, true: lesions at the criteria of the run.
    operating: lesions at other thresholds.
    mimics: what may be taken for blood in the head.
    scanner: settings that change the image most.
    seconds: what simulating, reading and finding took, s.
    """

    seed: int
    diagnosis: str
    volume_ml: float | None
    population: str
    condition: str
    error: str = ""
    slices: int = 0
    spacing_mm: float = 0.0
    pixel_mm: float = 0.0
    thickness_mm: float = 0.0
    tilt_deg: float = 0.0
    score: float = 0.0
    type_scores: dict[str, float] = field(default_factory=dict)
    blood: dict[str, Blood] = field(default_factory=dict)
    shared_ml: float = 0.0
    found_ml: float = 0.0
    true_ml: float = 0.0
    found: tuple[FoundLesion, ...] = ()
    true: tuple[TrueLesion, ...] = ()
    operating: tuple[Operating, ...] = ()
    mimics: tuple[str, ...] = ()
    scanner: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def bleeds(self) -> bool:
        """Whether the manifest's line has blood."""
        return self.diagnosis != Diagnosis.NONE

    @property
    def size(self) -> SizeClass | None:
        """The size class of the labelled blood of the study's own type, None without blood."""
        return SizeClass.of(self.blood[self.diagnosis].true_ml) if self.bleeds else None

    @property
    def name(self) -> str:
        """What the record's file is called, without its ending."""
        return record_name(Entry(self.seed, Diagnosis(self.diagnosis), self.volume_ml, self.population), self.condition)


def record_name(entry: Entry, condition: str) -> str:
    """Return the name of the record of a study under a condition; no other record has it."""
    return "-".join((entry.name, entry.population, condition)).replace(" ", "_").replace("/", "_")


def write(record: Record, folder: Path) -> None:
    """Write a record into a folder, whole or not at all."""
    partial = folder / f".{record.name}.partial"
    partial.write_text(json.dumps(asdict(record)) + "\n", encoding="utf-8")
    partial.replace(folder / f"{record.name}.json")


def read(path: Path) -> Record:
    """Return a record that `write` wrote.

    Raises
    ------
    ValueError
        If the file holds none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return Record(
            **values
            | {
                "blood": {kind: Blood(**one) for kind, one in values["blood"].items()},
                "found": tuple(FoundLesion(**one) for one in values["found"]),
                "true": tuple(TrueLesion(**one) for one in values["true"]),
                "operating": tuple(Operating(**one) for one in values["operating"]),
                "mimics": tuple(values["mimics"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} holds no record ({error}); remove it, and the study is read again") from error
