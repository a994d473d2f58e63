# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What comes back of a study that is sent by C-STORE."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid

from simulator.dicom import TransferSyntax
from simulator.series import SeriesKind
from simulator.study import WrittenStudy
from tests.end_to_end.patient import Patient, edit
from tests.end_to_end.running import Running, until
from tests.end_to_end.stored import (
    FINDING_ABSENT,
    FINDING_PRESENT,
    PRESENCE,
    PROBABILITY,
    VOLUME,
    Stored,
    codes,
    dice,
    frames,
    header,
    numbers,
    segments,
)

UNCHANGED = (
    *("SpecificCharacterSet", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "IssuerOfPatientID"),
    *("StudyInstanceUID", "StudyID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"),
)
STEPS = ("quiet", "queue", "select", "read", "check", "infer", "find", "report", "deliver")


@dataclass(frozen=True)
class Case:
    """A study that was sent, what the service says of it, what Orthanc holds, and how the metrics grew."""

    written: WrittenStudy
    record: dict[str, Any]
    stored: Stored
    counted: dict[str, float]

    @property
    def axial(self) -> tuple[Path, ...]:
        return self.written.files[SeriesKind.AXIAL]


@pytest.fixture(scope="module")
def case(running: Running, bleeding: Patient, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """A bleeding study with scout, bone kernel, coronal reformats and dose page, answered."""
    written = bleeding.full_study(tmp_path_factory.mktemp("full"))
    before = running.metrics()
    running.send(written.all_files)
    record = running.answered(written.truth.study_uid)
    answers = "hemorrhage_answers_total[present]"
    until(lambda: running.metrics()[answers] > before[answers], running.metrics)
    counted = {name: value - before.get(name, 0) for name, value in running.metrics().items()}
    return Case(written, record, running.stored(written.truth.study_uid), counted)


def test_a_bleeding_study_comes_back_with_report_segmentation_key_images_and_their_selection(case: Case) -> None:
    stored = case.stored
    assert codes(stored.report, PRESENCE) == [FINDING_PRESENT]
    assert numbers(stored.report, PROBABILITY)[0] == pytest.approx(case.record["probability"], abs=1e-3)
    assert len(stored.segmentations) == len(stored.key_objects) == 1
    assert 1 <= len(stored.key_images) <= 6
    (evidence,) = stored.key_objects[0].CurrentRequestedProcedureEvidenceSequence
    named = {
        str(one.ReferencedSOPInstanceUID)
        for series in evidence.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    }
    assert {str(image.SOPInstanceUID) for image in stored.key_images} <= named


def test_the_results_join_their_study_with_series_numbers_of_their_own_and_its_attributes_unchanged(
    case: Case, running: Running
) -> None:
    source = header(case.axial[0])
    results = [*case.stored.reports, *case.stored.segmentations, *case.stored.key_images, *case.stored.key_objects]
    for result in results:
        assert {name: result.get(name, "") or "" for name in UNCHANGED} == {
            name: source.get(name, "") or "" for name in UNCHANGED
        }
    assert all(9000 <= int(result.SeriesNumber) <= 9999 for result in results)
    assert len({result.SeriesInstanceUID for result in results}) == 4
    held = running.modalities(case.written.truth.study_uid)
    assert len(held) == len(case.written.truth.series) + 4


def test_orthanc_holds_the_source_images_as_they_were_sent(case: Case, running: Running) -> None:
    for file in (case.axial[0], case.written.files[SeriesKind.SCOUT][0]):
        sent = pydicom.dcmread(file)
        (ref,) = running.orthanc.post("/tools/lookup", content=sent.SOPInstanceUID).json()
        assert running.instance(ref["ID"]) == sent


def test_the_axial_soft_tissue_series_is_read_among_scout_bone_and_coronal(case: Case) -> None:
    truth = case.written.truth
    assert case.record["series"]["uid"] == truth.series_uid
    assert case.record["series"]["slices"] == len(case.axial)
    assert case.record["series"]["reasons"]
    (evidence,) = case.stored.report.CurrentRequestedProcedureEvidenceSequence
    referenced = {str(series.SeriesInstanceUID) for series in evidence.ReferencedSeriesSequence}
    assert referenced & {series.series_uid for series in truth.series} == {truth.series_uid}
    codes_by_series = {refusal["series_uid"]: refusal["code"] for refusal in case.record["refusals"]}
    assert {series.kind: codes_by_series.get(series.series_uid) for series in truth.series} == {
        "axial": None,
        "bone": "not_soft_tissue",
        "coronal": "not_axial",
        "scout": "localizer",
        "dose": "not_ct",
    }


def test_the_segmentation_lies_on_the_planes_of_its_source(case: Case) -> None:
    segmentation = case.stored.segmentation
    sources = {str(one.SOPInstanceUID): one for one in map(header, case.axial)}
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    seen = 0
    for _, uid, position, _ in frames(segmentation):
        source = sources[uid]
        seen += 1
        assert position == pytest.approx(np.array(source.ImagePositionPatient, float), abs=1e-3)
        assert (segmentation.Rows, segmentation.Columns) == (source.Rows, source.Columns)
        assert [float(one) for one in shared.PixelMeasuresSequence[0].PixelSpacing] == pytest.approx(
            [float(one) for one in source.PixelSpacing], rel=1e-6
        )
        assert [float(one) for one in shared.PlaneOrientationSequence[0].ImageOrientationPatient] == pytest.approx(
            [float(one) for one in source.ImageOrientationPatient], abs=1e-6
        )
    assert seen >= 4
    assert segmentation.FrameOfReferenceUID == sources[uid].FrameOfReferenceUID


def test_the_segments_hold_the_millilitres_that_report_and_status_tell(case: Case) -> None:
    truth = case.written.truth
    lesions = [lesion["volume_ml"] for lesion in case.record["lesions"]]
    area_mm2 = truth.pixel_spacing_mm[0] * truth.pixel_spacing_mm[1]
    measured = [
        float((mask.sum(axis=(1, 2)) * np.array(truth.spans_mm)).sum() * area_mm2 / 1000)
        for mask in segments(case.stored.segmentation, case.axial).values()
    ]
    assert measured == pytest.approx(lesions, abs=0.01)
    assert numbers(case.stored.report, VOLUME)[: len(lesions)] == pytest.approx(lesions, abs=0.05)
    assert case.record["lesions"][0]["type"] == "iph"


def test_the_segmentation_covers_the_blood(case: Case) -> None:
    truth = np.load(case.written.folder / "truth.npy") > 0
    found = np.any(list(segments(case.stored.segmentation, case.axial).values()), axis=0)
    assert dice(found, truth) > 0.5


def test_the_metrics_count_the_turnaround_and_every_step_of_it(case: Case) -> None:
    assert case.counted["hemorrhage_turnaround_seconds_count"] == 1
    assert {step: case.counted[f"hemorrhage_step_seconds_count[{step}]"] for step in STEPS} == dict.fromkeys(STEPS, 1)
    assert case.counted["hemorrhage_turnaround_seconds_sum"] == pytest.approx(case.record["turnaround_s"], abs=1e-3)
    assert case.counted["hemorrhage_refusals_total[localizer][answered]"] == 1
    assert case.counted["hemorrhage_jobs[done]"] == 1


def test_orthanc_tells_of_the_answer_and_of_its_doorbell(case: Case, running: Running) -> None:
    document = running.orthanc.get("/hemorrhage/status").raise_for_status().json()
    told = {study["study_uid"]: study for study in document["service"]["studies"]}
    assert told[case.written.truth.study_uid]["sr_uid"] == case.stored.report.SOPInstanceUID
    assert document["plugin"]["instances"] >= len(case.written.all_files)
    assert document["plugin"]["rings"] >= 1


def test_the_log_tells_of_the_study_and_never_of_the_patient(case: Case, running: Running) -> None:
    log = running.log()
    assert case.written.truth.study_uid in log
    source = header(case.axial[0])
    names = [part for writing in source.PatientName.components for part in writing.split("^")]
    assert len(names) == 6
    for secret in (source.PatientID, *names):
        assert secret not in log
        assert json.dumps(secret).strip('"') not in log


def test_a_study_without_blood_comes_back_with_a_report_that_says_so_and_no_segmentation(
    running: Running, healthy: Patient, tmp_path: Path
) -> None:
    written = healthy.study(tmp_path)
    running.send(written.all_files)
    record = running.answered(written.truth.study_uid)
    stored = running.stored(written.truth.study_uid)
    assert record["present"] is False
    assert codes(stored.report, PRESENCE) == [FINDING_ABSENT]
    assert stored.segmentations == []


def test_compressed_studies_are_sent_and_answered_as_they_are(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    syntaxes = (TransferSyntax.JPEG_LOSSLESS, TransferSyntax.JPEG_LS, TransferSyntax.JPEG_2000, TransferSyntax.RLE)
    studies = {syntax: bleeding.study(tmp_path / syntax, transfer_syntax=syntax) for syntax in syntaxes}
    for written in studies.values():
        running.send(written.all_files)
    for syntax, written in studies.items():
        assert running.answered(written.truth.study_uid)["present"] is True
        sent = header(written.all_files[0])
        (ref,) = running.orthanc.post("/tools/lookup", content=sent.SOPInstanceUID).json()
        assert running.instance(ref["ID"]).file_meta.TransferSyntaxUID == syntax.uid


def test_a_study_sent_again_gets_no_second_answer(
    case: Case, running: Running, healthy: Patient, tmp_path: Path
) -> None:
    running.send(case.written.all_files)
    later = healthy.study(tmp_path)
    running.send(later.all_files)
    running.answered(later.truth.study_uid)
    record = running.study(case.written.truth.study_uid)
    assert [job["state"] for job in record["jobs"]] == ["done"]
    again = running.stored(case.written.truth.study_uid)
    assert {one.SOPInstanceUID for one in again.all} == {one.SOPInstanceUID for one in case.stored.all}


def superseding(running: Running, study_uid: str) -> tuple[Dataset, Dataset]:
    """Return the first and the second SR of a study once the first is superseded."""
    record = running.study(study_uid)
    assert [job["state"] for job in record["jobs"]] == ["superseded", "done"]
    by_uid = {str(report.SOPInstanceUID): report for report in running.stored(study_uid).reports}
    assert len(by_uid) == 2
    return by_uid[record["jobs"][0]["sr_uid"]], by_uid[record["jobs"][1]["sr_uid"]]


def predecessors(report: Dataset) -> list[str]:
    """Return the SOP Instance UIDs of the documents that a report takes the place of."""
    return [
        str(one.ReferencedSOPInstanceUID)
        for study in report.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for one in series.ReferencedSOPSequence
    ]


def test_a_series_that_grows_after_its_answer_gets_a_new_one_that_names_the_old(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path)
    files, study_uid = written.files[SeriesKind.AXIAL], written.truth.study_uid
    running.send(files[:-3])
    assert running.answered(study_uid)["series"]["slices"] == len(files) - 3
    running.send(files[-3:])
    until(lambda: len(running.study(study_uid)["jobs"]) == 2, lambda: running.study(study_uid))
    assert running.answered(study_uid)["series"]["slices"] == len(files)
    old, new = superseding(running, study_uid)
    assert predecessors(old) == []
    assert predecessors(new) == [old.SOPInstanceUID]


def test_a_better_series_that_comes_after_the_answer_is_answered_in_its_place(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path / "good")
    study_uid, series_uid = written.truth.study_uid, generate_uid()

    def worsen(dataset: Dataset) -> None:
        """Make it a series of the same head whose kernel nobody knows."""
        dataset.SeriesInstanceUID = series_uid
        dataset.SOPInstanceUID = generate_uid()
        dataset.ConvolutionKernel = ""
        dataset.SeriesDescription = ""

    worse = []
    for file in written.all_files:
        copy = tmp_path / file.name
        copy.write_bytes(file.read_bytes())
        worse.append(edit(copy, worsen))
    running.send(worse)
    assert running.answered(study_uid)["series"]["uid"] == series_uid
    running.send(written.all_files)
    until(lambda: len(running.study(study_uid)["jobs"]) == 2, lambda: running.study(study_uid))
    assert running.answered(study_uid)["series"]["uid"] == written.truth.series_uid
    old, new = superseding(running, study_uid)
    assert predecessors(new) == [old.SOPInstanceUID]
