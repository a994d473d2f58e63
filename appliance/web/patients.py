# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whose study it is, as Orthanc knows it: for the eyes of those who may look, on the page alone.

The ledger, the log and the audit trail hold no patient; what is read here is kept for a minute, in memory.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol
from urllib.parse import quote

from appliance.errors import ApplianceError, UnavailableError
from appliance.orthanc_errors import NotThereError

_KEPT_S: Final = 60.0
_MOST: Final = 2000
_AWAY_S: Final = 10.0
_LONGEST: Final = 200
_DIGITS: Final = 8


class Archive(Protocol):
    """What the pages need of Orthanc."""

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return Orthanc's JSON answer to a request of its REST interface."""
        ...

    def file(self, identifier: str, limit: int | None = None) -> bytes:
        """Return the DICOM file of an instance."""
        ...


@dataclass(frozen=True)
class Patient:
    """Whose study it is, and which: texts of its headers, for people; empty where they say nothing."""

    name: str = ""
    number: str = ""
    sex: str = ""
    age: str = ""
    accession: str = ""
    description: str = ""


class Patients:
    """Asks Orthanc for the patients of studies; `clock` is for tests."""

    def __init__(self, archive: Archive, clock: Callable[[], float] = time.monotonic) -> None:
        self._archive = archive
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Patient | None]] = OrderedDict()
        self._away_until = 0.0

    def of_studies(self, studies: Iterable[str]) -> tuple[dict[str, Patient], bool]:
        """Return the patients of studies by Orthanc's identifier, and whether Orthanc answered.

        A study that Orthanc does not hold has none. While Orthanc does not answer, nobody waits for it again and again.
        """
        found: dict[str, Patient] = {}
        answers = True
        for study in studies:
            known = self._find_kept(study)
            if known is None:
                if not answers or self._clock() < self._away_until:
                    answers = False
                    continue
                try:
                    known = self._ask(study)
                except UnavailableError:
                    self._away_until = self._clock() + _AWAY_S
                    answers = False
                    continue
                self._keep(study, known[0])
            if known[0] is not None:
                found[study] = known[0]
        return found, answers

    def _find_kept(self, study: str) -> tuple[Patient | None] | None:
        with self._lock:
            kept = self._kept.get(study)
        return None if kept is None or self._clock() > kept[0] + _KEPT_S else (kept[1],)

    def _keep(self, study: str, patient: Patient | None) -> None:
        with self._lock:
            self._kept[study] = self._clock(), patient
            self._kept.move_to_end(study)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)

    def _ask(self, study: str) -> tuple[Patient | None]:
        try:
            held = self._archive.ask("GET", f"/studies/{quote(study)}")
        except NotThereError:
            return (None,)
        except UnavailableError:
            raise
        except ApplianceError:  # it answers something else about this study
            return (None,)
        return (patient_of(held if isinstance(held, Mapping) else {}),)


def patient_of(held: Mapping[str, Any]) -> Patient:
    """Return the patient of a study as Orthanc describes it."""
    patient, study = _tags(held, "PatientMainDicomTags"), _tags(held, "MainDicomTags")
    return Patient(
        person_name(_text(patient, "PatientName")),
        _text(patient, "PatientID"),
        _text(patient, "PatientSex"),
        _age(_text(patient, "PatientBirthDate"), _text(study, "StudyDate")),
        _text(study, "AccessionNumber"),
        _text(study, "StudyDescription"),
    )


def person_name(name: str) -> str:
    """Return a DICOM person name for people: "Yamada, Tarou (山田, 太郎)"."""
    groups = []
    for group in name.split("="):
        family, *others = [part.strip() for part in group.split("^")]
        given = " ".join(part for part in others if part)
        said = ", ".join(part for part in (family, given) if part)
        if said:
            groups.append(said)
    return groups[0] + "".join(f" ({one})" for one in groups[1:]) if groups else ""


def _tags(held: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    tags = held.get(name)
    return tags if isinstance(tags, Mapping) else {}


def _text(tags: Mapping[str, Any], keyword: str) -> str:
    """Return a value without what does not print, and not longer than a header may be."""
    printed = "".join(one if one.isprintable() else " " for one in str(tags.get(keyword) or ""))
    return " ".join(printed.split())[:_LONGEST]


def _age(born: str, scanned: str) -> str:
    """Return the age at the scan: "67 y", "5 mo", "12 d"; empty where a date is missing or cannot be."""
    try:
        first, last = _date(born), _date(scanned)
    except ValueError:
        return ""
    if last < first:
        return ""
    years = last.year - first.year - ((last.month, last.day) < (first.month, first.day))
    if years >= 2:
        return f"{years} y"
    days = (last - first).days
    return f"{days} d" if days < 60 else f"{12 * (last.year - first.year) + last.month - first.month} mo"


def _date(text: str) -> date:
    if len(text) != _DIGITS or not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
