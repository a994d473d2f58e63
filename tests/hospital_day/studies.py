# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The studies of a day: who comes when, from which scanner. All heads are simulated.

Heads take seconds each, so a few are scanned beforehand, in parallel, and kept; each study of the day is one of them
with a patient, an accession number and UIDs of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Final

import pydicom
from pydicom.uid import generate_uid

from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.series import SeriesKind
from simulator.study import StudySpec, write_study

SCANNERS: Final = ("CT1", "CT2")
HEALTHY_HEADS: Final = 8
_KINDS: Final = (Diagnosis.IPH, Diagnosis.EDH_SDH, Diagnosis.IPH, Diagnosis.SAH)
_ML: Final = {Diagnosis.IPH: 45.0, Diagnosis.EDH_SDH: 70.0, Diagnosis.SAH: 40.0}
_PRIOR_SHARE: Final = 0.4
"""How much of the blood of a bleed that grew was there in its prior CT."""


@dataclass(frozen=True)
class Planned:
    """A study of the day.

    Attributes
    ----------
    number: its place in the order of arrival; priors have negative ones.
    at_s: when its scanner begins to send it, s from the beginning of the day.
    scanner: AE title.
    head: the head that is in it.
    patient: Patient ID; that of a prior and of its later study are the same.
    bleeds: whether its head bleeds.
    """

    number: int
    at_s: float
    scanner: str
    head: StudySpec
    patient: str
    bleeds: bool


@dataclass(frozen=True)
class Written:
    """A study on disk, ready to be sent."""

    planned: Planned
    uid: str
    accession: str
    files: tuple[Path, ...]


def _head(seed: int, diagnosis: Diagnosis, slices: int, share: float = 1.0) -> StudySpec:
    ml = None if diagnosis is Diagnosis.NONE else _ML[diagnosis] * share
    spacing = 160.0 / slices
    return StudySpec(
        seed,
        diagnosis,
        volume_ml=ml,
        series=(SeriesKind.AXIAL,),
        slices=slices,
        spacing_mm=spacing,
        population=CLEAR.name,
    )


def plan_day(
    studies: int,
    positives: int,
    priors: int,
    minutes: float,
    seed: int,
    slices: int,
    healthy_heads: int = HEALTHY_HEADS,
) -> list[Planned]:
    """Return the studies of a day in the order in which they are sent, priors (of the day before) first.

    The same seed gives the same day. Scanners take turns at random, and arrivals are spread at random over the day.
    """
    random = Random(seed)
    times = sorted(random.uniform(0, 60 * minutes) for _ in range(studies))
    bleeding = sorted(random.sample(range(studies), positives))
    day: list[Planned] = []
    for number, at_s in enumerate(times):
        bleeds = number in bleeding
        if bleeds:
            place = bleeding.index(number)
            head = _head(7100 + place % len(_KINDS), _KINDS[place % len(_KINDS)], slices)
        else:
            head = _head(7200 + number % healthy_heads, Diagnosis.NONE, slices)
        day.append(Planned(number, at_s, random.choice(SCANNERS), head, f"DAY{seed}-{number:04}", bleeds))
    earlier = [
        Planned(
            place - priors,
            0.0,
            SCANNERS[0],
            _head(7100 + place % len(_KINDS), _KINDS[place % len(_KINDS)], slices, _PRIOR_SHARE),
            day[number].patient,
            True,
        )
        for place, number in enumerate(bleeding[:priors])
    ]
    return [*earlier, *day]


def _key(head: StudySpec) -> str:
    return hashlib.sha256(json.dumps(head.as_json(), sort_keys=True).encode()).hexdigest()[:16]


def _scan(head: StudySpec, folder: Path) -> None:
    aside = folder.with_name(f"{folder.name}.new-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    write_study(head, aside)
    try:
        aside.rename(folder)
    except OSError:  # another run has scanned it meanwhile
        shutil.rmtree(aside)


def scan_heads(plan: Sequence[Planned], kept: Path, processes: int, report: Callable[[int, int], None]) -> None:
    """Scan the heads that `kept` does not hold yet, in parallel; `report` gets how many are there, and of how many."""
    kept.mkdir(parents=True, exist_ok=True)
    heads = {_key(one.head): one.head for one in plan}
    missing = {key: head for key, head in heads.items() if not (kept / key).exists()}
    done = len(heads) - len(missing)
    report(done, len(heads))
    if not missing:
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in [pool.submit(_scan, head, kept / key) for key, head in missing.items()]:
            future.result()
            done += 1
            report(done, len(heads))


def write_planned(one: Planned, kept: Path, folder: Path, now: datetime) -> Written:
    """Write a study of the day as new: its head with a patient, an accession number, UIDs and a time of its own."""
    uid, series, frame = (str(generate_uid()) for _ in range(3))
    scanned = now - timedelta(days=1) if one.number < 0 else now
    folder.mkdir(parents=True)
    accession = f"A{one.patient}{'P' if one.number < 0 else ''}"[:16]
    files: list[Path] = []
    for source in sorted((kept / _key(one.head)).glob("**/*.dcm")):
        dataset = pydicom.dcmread(source)
        instance = generate_uid()
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = instance
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = uid, series, frame
        dataset.PatientID, dataset.PatientName = one.patient, f"Simulated^{one.patient}"
        dataset.AccessionNumber, dataset.StationName, dataset.StudyID = accession, one.scanner, "1"
        for what in ("Study", "Series", "Acquisition", "Content"):
            setattr(dataset, f"{what}Date", f"{scanned:%Y%m%d}")
            setattr(dataset, f"{what}Time", f"{scanned:%H%M%S}")
        file = folder / f"{len(files):04}.dcm"
        dataset.save_as(file)
        files.append(file)
    return Written(one, uid, accession, tuple(files))
