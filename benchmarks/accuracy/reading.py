# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One study, simulated, read by the network, made an answer by the service's own code, and compared with its truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.findings.find import find
from appliance.findings.finding import Finding
from appliance.imaging.volume import Volume
from appliance.inference.detections import Reading
from appliance.reading.contract import EXTEND_SCORE, TYPES
from appliance.reading.lesions import Criteria
from appliance.reading.masks import patch
from benchmarks.accuracy import picture
from benchmarks.accuracy.causes import false_lesion
from benchmarks.accuracy.conditions import AVERAGED_MM, CONDITIONS, Condition
from benchmarks.accuracy.record import Blood, FoundLesion, Operating, Record, TrueLesion, record_name
from benchmarks.accuracy.truth import Labelled, contrast_hu, true_lesions
from benchmarks.accuracy.volume import volume_of
from simulator.cohort import spec_of
from simulator.geometry import ScanGeometry
from simulator.labels import volumes_ml
from simulator.manifest import Entry
from simulator.scan import SimulatedScan
from simulator.study import simulate

OPERATING: Final = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999)
"""The thresholds of the free-response ROC."""

Read = Callable[[NDArray[np.int16]], Reading]


@dataclass(frozen=True)
class Read3D:
    """A series as it was read: its HU and truth [Z, Y, X], the network's reading and the service's answer."""

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    geometry: ScanGeometry
    volume: Volume
    reading: Reading
    finding: Finding


def records_of(
    entry: Entry, conditions: Sequence[str], read: Read, criteria: Criteria, pictures: Path | None = None
) -> Iterator[Record]:
    """Yield the record of a study under each condition by name; a study that cannot be made gives records that say so.

    Parameters
    ----------
    read: the network.
    pictures: folder for a slice of each study that is misread as drawn; None keeps none.
    """
    started = time.perf_counter()
    try:
        scan = simulate(spec_of(entry))
    except Exception as error:
        for name in conditions:
            yield _record_failure(entry, name, error)
        return
    simulated_s = time.perf_counter() - started
    for name in conditions:
        try:
            yield record_of(entry, CONDITIONS[name], scan, read, criteria, pictures, simulated_s)
        except Exception as error:
            yield _record_failure(entry, name, error)


def _record_failure(entry: Entry, condition: str, error: Exception) -> Record:
    return Record(
        entry.seed,
        str(entry.diagnosis),
        entry.volume_ml,
        entry.population,
        condition,
        error=f"{type(error).__name__}: {error}",
    )


def record_of(
    entry: Entry,
    condition: Condition,
    scan: SimulatedScan,
    read: Read,
    criteria: Criteria,
    pictures: Path | None,
    simulated_s: float,
) -> Record:
    """Return the record of a scanned head under a condition."""
    hu, labels, geometry = scan_under(condition, scan)
    volume = volume_of(hu, geometry)
    started = time.perf_counter()
    reading = averaged_reading(read, hu, geometry) if condition.averaged else read(hu)
    read_s = time.perf_counter() - started
    started = time.perf_counter()
    finding = find(reading, volume, criteria)
    find_s = time.perf_counter() - started
    one = Read3D(hu, labels, geometry, volume, reading, finding)
    lesions = list(true_lesions(labels, geometry))
    found = list(_found_lesions(one, scan if not labels.any() else None))
    if pictures is not None and not condition.averaged and finding.present != bool(labels.any()):
        _draw(one, pictures / f"{record_name(entry, condition.name)}.png")
    any_ml = geometry.voxel_ml
    seen, marked = labels > 0, finding.lesion_map > 0
    return Record(
        seed=entry.seed,
        diagnosis=str(entry.diagnosis),
        volume_ml=entry.volume_ml,
        population=entry.population,
        condition=condition.name,
        slices=len(hu),
        spacing_mm=float(np.median(geometry.spans_mm)),
        pixel_mm=geometry.pixel_spacing_mm[0],
        thickness_mm=geometry.thickness_mm[0],
        tilt_deg=geometry.tilt_deg,
        score=finding.probability,
        type_scores={
            str(kind): max((one.score for one in reading.detections if one.type is kind), default=0.0) for kind in TYPES
        },
        blood=_blood(one),
        shared_ml=float(np.count_nonzero(seen & marked, axis=(1, 2)) @ any_ml),
        found_ml=float(np.count_nonzero(marked, axis=(1, 2)) @ any_ml),
        true_ml=float(np.count_nonzero(seen, axis=(1, 2)) @ any_ml),
        found=tuple(found),
        true=tuple(_true(one, lesions)),
        operating=tuple(_operating_points(one, lesions)),
        mimics=scan.head.anatomy.mimics.names,
        scanner={name: float(getattr(scan.scanner, name)) for name in ("noise_hu", "psf_mm", "motion_mm", "streaks")},
        seconds={
            "simulate": round(simulated_s, 2),
            "read": round(read_s, 2),
            "find": round(find_s, 2),
        },
    )


def scan_under(condition: Condition, scan: SimulatedScan) -> tuple[NDArray[np.int16], NDArray[np.uint8], ScanGeometry]:
    """Return HU int16 and labels uint8 [Z, Y, X] of a scan's head under a condition, and their planes."""
    geometry, scanner, head = (
        condition.planes(scan.geometry),
        condition.scanner(scan.scanner),
        condition.head(scan.head),
    )
    labels = scan.labels if geometry == scan.geometry else head.labels(geometry)
    if geometry == scan.geometry and scanner == scan.scanner and head is scan.head:
        return scan.hu, labels, geometry
    return head.render(geometry, scanner=scanner), labels, geometry


def averaged_reading(read: Read, hu: NDArray[np.int16], geometry: ScanGeometry) -> Reading:
    """Return the reading of thin slices hu [Z, Y, X] by way of means of neighbours of about `AVERAGED_MM` together.

    Each detection stands on every thin slice that its mean was made of. Slices left over at the top are a mean of their
    own.
    """
    parts = max(1, round(AVERAGED_MM / float(np.median(geometry.spans_mm))))
    starts = range(0, len(hu), parts)
    thick = np.stack([np.rint(hu[start : start + parts].mean(axis=0)) for start in starts]).astype(np.int16)
    reading = read(thick)
    detections = [
        replace(one, slice_index=index)
        for one in reading.detections
        for index in range(one.slice_index * parts, min((one.slice_index + 1) * parts, len(hu)))
    ]
    return replace(reading, detections=tuple(detections))


def at_threshold(threshold: float, join_mm: float) -> Criteria:
    """Return the service's criteria at another threshold: extended as far as the service would."""
    return Criteria(threshold, min(EXTEND_SCORE, threshold), join_mm)


def _blood(one: Read3D) -> dict[str, Blood]:
    """Return the blood of each type, mL."""
    voxel_ml = one.geometry.voxel_ml
    true_ml = volumes_ml(one.labels, one.geometry)
    out = {}
    for kind in TYPES:
        numbers = [lesion.number for lesion in one.finding.lesions if lesion.type is kind]
        mine = np.isin(one.finding.lesion_map, numbers)
        shared = np.count_nonzero(mine & (one.labels == kind.label), axis=(1, 2)) @ voxel_ml
        found_ml = sum(lesion.volume_ml for lesion in one.finding.lesions if lesion.type is kind)
        out[str(kind)] = Blood(true_ml.get(kind, 0.0), found_ml, float(shared))
    return out


def _found_lesions(one: Read3D, healthy: SimulatedScan | None) -> Iterator[FoundLesion]:
    """Yield the lesions found; with their causes where the head is healthy."""
    voxel_ml = one.geometry.voxel_ml
    for lesion in one.finding.lesions:
        mine = one.finding.lesion_map == lesion.number
        true_ml = float(np.count_nonzero(mine & (one.labels > 0), axis=(1, 2)) @ voxel_ml)
        cause, facts = ("", {}) if healthy is None else false_lesion(healthy, one.geometry, np.argwhere(mine))
        yield FoundLesion(str(lesion.type), lesion.volume_ml, lesion.abc2_ml, lesion.confidence, true_ml, cause, facts)


def _true(one: Read3D, lesions: Sequence[Labelled]) -> Iterator[TrueLesion]:
    """Yield the true lesions with the best score that a detection on each has."""
    matrix = (one.geometry.rows, one.geometry.columns)
    scores = [0.0] * len(lesions)
    numbers = np.zeros(one.labels.shape, np.uint16)
    for number, lesion in enumerate(lesions, 1):
        numbers[lesion.crop][lesion.blood] = number
    for detection in one.reading.detections if lesions else ():
        mask = patch(detection, matrix)
        for number in np.unique(numbers[mask.window][mask.blood]):
            if number:
                scores[number - 1] = max(scores[number - 1], detection.score)
    for lesion, score in zip(lesions, scores, strict=True):
        yield TrueLesion(
            str(lesion.type),
            lesion.volume_ml(one.geometry),
            lesion.abc2_ml(one.geometry),
            contrast_hu(one.hu, one.labels, lesion, one.geometry),
            score,
        )


def _operating_points(one: Read3D, lesions: Sequence[Labelled]) -> Iterator[Operating]:
    """Yield what the service's lesions hit at each threshold of the free-response ROC."""
    for threshold in OPERATING:
        finding = find(one.reading, one.volume, at_threshold(threshold, one.finding.criteria.join_mm))
        marked = finding.lesion_map > 0
        hit = sum(bool((marked[lesion.crop] & lesion.blood).any()) for lesion in lesions)
        touching = np.unique(finding.lesion_map[marked & (one.labels > 0)])
        yield Operating(threshold, hit, len(finding.lesions) - len(touching))


def _draw(one: Read3D, path: Path) -> None:
    """Draw the slice that shows a misread study best: where most blood is, or where the surest false lesion is."""
    if one.labels.any():
        z = int(np.count_nonzero(one.labels, axis=(1, 2)).argmax())
    else:
        surest = max(one.finding.lesions, key=lambda lesion: lesion.confidence)
        z = surest.slices[int(np.argmax(surest.voxels))]
    picture.draw(path, one.hu[z], one.labels[z] > 0, one.finding.lesion_map[z] > 0, one.geometry.pixel_spacing_mm)
