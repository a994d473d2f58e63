# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A study's DICOM headers, without pixels, as features: whatever a classifier could learn from them.

Two views. `written_headers` reads the files of a written study. `header_features` asks for the headers of a study
that nobody simulated, thousands in a minute: enough heads to see a small leak, and the shipped manifests as they are,
where seed and diagnosis could go together. UIDs are hashes and left out; numbers in names and identifiers stay in.

Features leave things out: sequences, the words of long texts, all slices but the first and the spread. `digests` does
not, and says within a pair whether anything differs at all.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from simulator.dicom import Uids
from simulator.headers import Examination, ct_header
from simulator.manifest import Entry
from simulator.series import PatientPosition, Planes, SeriesKind
from simulator.study import StudySpec, WrittenStudy, axial_geometry
from simulator.vendors import VENDORS

_NUMERIC: Final = frozenset(("DS", "IS", "FD", "FL", "SS", "SL", "US", "UL"))
_LEFT_OUT: Final = frozenset(("UI", "OB", "OW", "SQ"))
_LONG_TEXT: Final = 24  # longer ones count by their digits and length alone


def features(datasets: Sequence[Dataset]) -> dict[str, float | str]:
    """Return the features of the headers of one study: each attribute in each series' first slice, and its spread.

    Numbers count as they are, several each for itself; text as a category; digits in a text as a number too.
    """
    found: dict[str, float | str] = {"files": float(len(datasets))}
    series: dict[int, list[Dataset]] = {}
    for dataset in datasets:
        series.setdefault(int(dataset.SeriesNumber), []).append(dataset)
    found["series"] = float(len(series))
    for place, instances in enumerate(series.values()):
        found[f"{place} files"] = float(len(instances))
        for element in instances[0]:
            if element.VR in _LEFT_OUT:
                continue
            name = f"{place} {element.keyword}"
            if element.VR in _NUMERIC:
                for i, value in enumerate(_values(element.value)):
                    found[f"{name} {i}"] = float(value)
                along = [
                    [float(v) for v in _values(dataset[element.tag].value)]
                    for dataset in instances
                    if element.tag in dataset
                ]
                if len({len(values) for values in along}) == 1 and along[0]:
                    found[f"{name} spread"] = float(np.std(along, axis=0).sum())
            else:
                text = "\\".join(str(value) for value in _values(element.value))
                digits = "".join(re.findall(r"\d", text))
                if digits:
                    found[f"{name} digits"] = float(digits[:15])
                found[f"{name} length"] = float(len(text))
                if len(text) <= _LONG_TEXT:
                    found[name] = re.sub(r"\d{5,}", "#", text)  # a seed is no category
    return found


def digests(datasets: Sequence[Dataset]) -> dict[str, str]:
    """Return a hash of each attribute's values in every file of a study, in their order and within sequences too."""
    found: dict[str, hashlib._Hash] = {}
    for number, dataset in enumerate(datasets):
        for element in dataset.iterall():
            if element.VR not in _LEFT_OUT:
                known = found.setdefault(element.keyword or str(element.tag), hashlib.sha256())
                known.update(f"{number}\0{element.value!r}\0".encode())
    return {name: known.hexdigest()[:16] for name, known in found.items()}


def written_headers(study: WrittenStudy) -> list[Dataset]:
    """Return a study's files, read back without their pixels."""
    return [pydicom.dcmread(path, stop_before_pixels=True) for path in study.all_files]


def header_features(entries: Iterable[Entry]) -> list[dict[str, float | str]]:
    """Return the features of the axial series' headers of studies that are not simulated."""
    found = []
    for entry in entries:
        spec = StudySpec(entry.seed, entry.diagnosis, volume_ml=entry.volume_ml, population=entry.population)
        geometry = axial_geometry(spec)
        stack = Planes.on(geometry, np.broadcast_to(np.int16(0), geometry.shape))
        vendor, examination = VENDORS[spec.vendor_name], Examination.draw(spec.seed)
        ends = (0, geometry.shape[0] // 2, geometry.shape[0] - 1)
        headers = [
            ct_header(vendor, examination, Uids(entry.name), SeriesKind.AXIAL, stack, i, position=PatientPosition.HFS)
            for i in ends
        ]
        found.append(features(headers) | {"slices": float(geometry.shape[0])})
    return found


def _values(value: Any) -> list[Any]:
    """Return the values of an element, one or several, none where it is empty."""
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [] if value is None or value == "" else [value]
