# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Heads that come in parts: one answer about the whole, or one that says that it is about a part."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from simulator.series import SeriesKind
from tests.end_to_end.patient import Patient, edit
from tests.end_to_end.running import Running, until

PAUSE_S = 3.0
ASSOCIATIONS = 7


def foot_first(files: list[Path]) -> list[Path]:
    return sorted(files, key=lambda file: float(dcmread(file, stop_before_pixels=True).ImagePositionPatient[2]))


def reports(running: Running, study_uid: str) -> list[Dataset]:
    return running.stored(study_uid).reports


def test_base_and_vertex_that_share_a_slice_are_answered_as_one_head(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path)
    files = foot_first(list(written.files[SeriesKind.AXIAL]))
    half = len(files) // 2
    series_uid, frame_uid = generate_uid(), generate_uid()

    def vertex(dataset: Dataset) -> None:
        """Make it a slice of a second acquisition, in a series and a frame of reference of its own."""
        dataset.SOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = series_uid, frame_uid
        dataset.AcquisitionNumber = 2
        dataset.AcquisitionTime = "235900"

    shared = tmp_path / "shared.dcm"
    shared.write_bytes(files[half - 1].read_bytes())
    upper = [edit(file, vertex) for file in (shared, *files[half:])]
    running.send([*files[:half], *upper])
    study = running.answered(written.truth.study_uid)
    assert study["present"]
    assert study["series"]["slices"] == len(files)
    assert study["coverage"]["partial"] is False
    assert len(study["jobs"]) == 1
    (report,) = reports(running, written.truth.study_uid)
    assert report.CompletionFlag == "COMPLETE"


def test_a_slow_sender_gets_one_answer_about_the_whole_head(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path)
    files = foot_first(list(written.files[SeriesKind.AXIAL]))
    for part in np.array_split(np.arange(len(files)), ASSOCIATIONS):
        running.send([files[number] for number in part])
        time.sleep(PAUSE_S)  # the sender's own pause: what is proven is that it is borne
    study = running.answered(written.truth.study_uid)
    covered = study["coverage"]
    assert covered["slices_read"] + covered["slices_empty"] == len(files)
    assert study["coverage"]["partial"] is False
    assert len(study["jobs"]) == 1
    assert len(reports(running, written.truth.study_uid)) == 1


def test_a_sender_that_broke_off_leaves_a_part_that_gives_way_to_the_whole(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path)
    files = foot_first(list(written.files[SeriesKind.AXIAL]))
    uid = written.truth.study_uid
    running.send(files[:13])
    study = running.answered(uid)
    assert study["coverage"]["partial"] is True
    assert "the top of the head is missing" in study["coverage"]["missing"][0]
    (part,) = reports(running, uid)
    assert part.CompletionFlag == "PARTIAL"
    running.send(files[13:])
    until(lambda: len(running.study(uid)["jobs"]) == 2, lambda: running.study(uid))
    assert running.answered(uid)["coverage"]["partial"] is False
    assert len(reports(running, uid)) == 2
    assert running.modalities(uid).count("SEG") == 1
    assert running.modalities(uid).count("KO") == 1
