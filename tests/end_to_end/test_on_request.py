# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A series that someone asks for, by the button in Orthanc."""

from __future__ import annotations

from pathlib import Path

from simulator.series import SeriesKind
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until


def orthanc_series(running: Running, uid: str) -> str:
    (found,) = running.orthanc.post("/tools/lookup", content=uid).raise_for_status().json()
    return str(found["ID"])


def test_a_series_is_answered_when_it_is_asked_for_through_orthanc(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.full_study(tmp_path)
    study_uid = written.truth.study_uid
    running.send(written.all_files)
    running.answered(study_uid)
    axial = orthanc_series(running, written.truth.series_uid)
    answer = running.orthanc.post(f"/hemorrhage/series/{axial}/analyze")
    assert answer.status_code == 202
    bone = next(series for series in written.truth.series if series.kind == SeriesKind.BONE)
    refused = running.orthanc.post(f"/hemorrhage/series/{orthanc_series(running, bone.series_uid)}/analyze")
    assert refused.status_code == 202

    def jobs() -> dict[int, str]:
        return {job["job"]: job["state"] for job in running.study(study_uid)["jobs"]}

    until(lambda: jobs().get(answer.json()["job"]) == "done", jobs)
    until(lambda: jobs().get(refused.json()["job"]) == "refused", jobs)
    assert len(running.stored(study_uid).reports) == 1, "the same answer has the same UID"
    assert running.study(study_uid)["present"] is True, "a refused wish takes nothing from the study's answer"


def test_a_result_is_not_read_and_what_is_not_there_is_not_found(
    running: Running, healthy: Patient, tmp_path: Path
) -> None:
    written = healthy.study(tmp_path)
    running.send(written.all_files)
    running.answered(written.truth.study_uid)
    report = orthanc_series(running, str(running.stored(written.truth.study_uid).report.SeriesInstanceUID))
    assert running.orthanc.post(f"/hemorrhage/series/{report}/analyze").status_code == 409
    nothing = "-".join(["00000000"] * 5)
    assert running.orthanc.post(f"/hemorrhage/series/{nothing}/analyze").status_code == 404
