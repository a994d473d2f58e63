# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whose study it is, as Orthanc knows it: for the eyes of those who may look, on the page alone.

The ledger, the log and the audit trail hold no patient; what is read here is kept in memory, and read again after a
minute.
"""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, Protocol

from appliance.errors import ApplianceError, UnavailableError

_KEPT_S: Final = 60.0
_MOST: Final = 2000
_AWAY_S: Final = 10.0
_PATIENCE_S: Final = 1.0
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
    """Asks Orthanc for the patients of studies; `clock` is for tests.

    All that a page needs is asked for in one request, and the page waits a second for it at most: what is known from
    earlier is shown meanwhile, and what comes later is there for the next look.
    """

    def __init__(self, archive: Archive, clock: Callable[[], float] = time.monotonic) -> None:
        self._archive = archive
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, tuple[float, Patient | None]] = OrderedDict()
        self._away_until = -math.inf
        self._asking: threading.Thread | None = None

    def of_studies(self, studies: Iterable[str]) -> tuple[dict[str, Patient], bool]:
        """Return the patients of studies by Orthanc's identifier, and whether those of all of them are known.

        A study that Orthanc does not hold has none. While Orthanc does not answer, nobody waits for it again and again.
        """
        names = list(dict.fromkeys(studies))
        old = self._clock() - _KEPT_S
        with self._lock:
            wanted = [name for name in names if name not in self._kept or self._kept[name][0] < old]
        if wanted:
            self._ask_soon(wanted)
        with self._lock:
            known = {name: self._kept[name][1] for name in names if name in self._kept}
        return {name: patient for name, patient in known.items() if patient is not None}, len(known) == len(names)

    def _ask_soon(self, studies: list[str]) -> None:
        """Ask for the patients of studies and wait for the answer a little; one request at a time."""
        with self._lock:
            asking = self._asking
            if asking is None or not asking.is_alive():
                if self._clock() < self._away_until:
                    return
                asking = self._asking = threading.Thread(target=self._ask, args=(studies,), daemon=True)
                asking.start()
        asking.join(_PATIENCE_S)

    def _ask(self, studies: list[str]) -> None:
        try:
            told = self._archive.ask("POST", "/tools/bulk-content", {"Resources": studies, "Level": "Study"})
        except UnavailableError:
            with self._lock:
                self._away_until = self._clock() + _AWAY_S
            return
        except ApplianceError:  # it answers something else about one of these studies
            told = []
        held = {one["ID"]: one for one in told if isinstance(one, Mapping) and isinstance(one.get("ID"), str)}
        now = self._clock()
        with self._lock:
            for study in studies:
                self._kept[study] = now, patient_of(held[study]) if study in held else None
                self._kept.move_to_end(study)
            while len(self._kept) > _MOST:
                self._kept.popitem(last=False)


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
