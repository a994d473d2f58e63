# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Checks each study that Orthanc confirmed, afterwards and from outside: asks Orthanc and the service."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pydicom
from pydicom import Dataset

from tests.chaos.bench import Bench
from tests.chaos.senders import Sent

ANSWER, REFUSAL = 9001, 9005


def faults_of(bench: Bench, sent: Sent, told: dict[str, Any] | None) -> list[str]:
    """Return what is wrong about a study; `told` is the service's record of it, None when it has none."""
    if told is None:
        return [] if sent.kept == 0 else ["lost: the service does not know it"]
    held, broken = _held(bench, sent.uid)
    images = [one for one in held if one.Modality == "CT"]
    wrong = []
    if len(images) < (sent.images if sent.kept is None else sent.kept):
        half = f", {broken.count('CT')} more are broken"
        wrong.append(f"lost: {len(images)} of {sent.images} images are in Orthanc{half}; {told['state']}")
    wrong += [f"orphan: a broken {modality} stands in Orthanc" for modality in broken if modality != "CT"]
    reports = [one for one in held if one.Modality == "SR"]
    replaced = {uid for report in reports for uid in _predecessors(report)}
    current = [report for report in reports if report.SOPInstanceUID not in replaced]
    if not current:
        return [*wrong, f"unsaid: {told['state']}, and no report"]
    if len(current) > 1:
        wrong.append(f"twice: {len(current)} reports stand")
    report = current[0]
    if told["sr_uid"] != report.SOPInstanceUID:
        wrong.append("unsaid: the service and Orthanc name different reports")
    expected = {(ANSWER, "done") if sent.readable else (REFUSAL, "refused")}
    if not sent.is_kept:  # what is left of it may be too little to read
        expected.add((REFUSAL, "refused"))
    if (int(report.SeriesNumber), told["state"]) not in expected:
        wrong.append(f"wrong: {told['state']} with report {report.SeriesNumber}")
    if sent.readable and told["state"] == "done":
        wrong += _faults_of_answer(sent, told, report, held)
    return wrong


def _faults_of_answer(sent: Sent, told: dict[str, Any], report: Dataset, held: list[Dataset]) -> Iterator[str]:
    there = {str(one.SOPInstanceUID) for one in held}
    covered = told["coverage"]
    if covered["slices_read"] != sent.images and not covered["partial"]:
        yield f"part: {covered['slices_read']} of {sent.images} slices are called the whole head"
    for named in _evidence(report):
        if named not in there and sent.is_kept:
            yield "orphan: the report names an object that is not there"
            break
    segmentations = [one for one in held if one.Modality == "SEG"]
    if len(segmentations) != int(bool(told["lesions"])):
        yield f"orphan: {len(segmentations)} segmentations beside {len(told['lesions'])} lesions"
    if any(one.SOPInstanceUID not in set(_evidence(report)) for one in segmentations):
        yield "orphan: a segmentation that the report does not name"
    selections = [one for one in held if one.Modality == "KO"]
    pictures = {str(one.SOPInstanceUID) for one in held if one.Modality == "OT"}
    chosen = {uid for selection in selections for uid in _evidence(selection)}
    if len(selections) != 1 or not pictures <= chosen or not chosen <= there:
        yield f"orphan: {len(selections)} selections name {len(chosen)} of {len(pictures)} key images"


def count_images(bench: Bench, study_uid: str) -> int:
    """Return how many images of a study Orthanc gives back whole. Raises `httpx.HTTPError` when it does not answer."""
    if not bench.study(study_uid):
        return 0
    headers, _ = _held(bench, study_uid)
    return sum(header.Modality == "CT" for header in headers)


def _held(bench: Bench, study_uid: str) -> tuple[list[Dataset], list[str]]:
    """Return the headers of what Orthanc holds of a study, and the modality of each object that it broke.

    Orthanc may have confirmed an object and kept half of it, or nothing.
    """
    headers: list[Dataset] = []
    broken: list[str] = []
    for instance in bench.orthanc.get(f"/studies/{bench.study(study_uid)}/instances").raise_for_status().json():
        try:
            data = bench.orthanc.get(f"/instances/{instance['ID']}/file").raise_for_status().content
            header = pydicom.dcmread(io.BytesIO(data))
            str(header)  # pydicom reads values when they are asked for
            if not header.Modality or not header.SOPInstanceUID:
                raise ValueError("cut off")
            if header.Modality == "CT" and len(header.PixelData) < header.Rows * header.Columns * 2:
                raise ValueError("cut off in its pixels")
            headers.append(header)
        except httpx.TransportError:
            raise
        except Exception:  # pydicom raises nearly anything on half a file
            series = bench.orthanc.get(f"/series/{instance['ParentSeries']}").raise_for_status().json()
            broken.append(str(series["MainDicomTags"].get("Modality", "?")))
    return headers, broken


def _predecessors(report: Dataset) -> set[str]:
    return set(_references(report.get("PredecessorDocumentsSequence", ())))


def _evidence(document: Dataset) -> list[str]:
    return list(_references(document.get("CurrentRequestedProcedureEvidenceSequence", ())))


def _references(sequence: Iterable[Dataset]) -> Iterator[str]:
    for study in sequence:
        for series in study.ReferencedSeriesSequence:
            for one in series.ReferencedSOPSequence:
                yield str(one.ReferencedSOPInstanceUID)
