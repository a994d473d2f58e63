# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Files that kill a careless reader, and pages and programs without business here: heads are answered beside them."""

from __future__ import annotations

import http.client
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from deploy.local.storescu import send
from tests.appliance.imaging.hostile import nest_sequences, small_image
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running


@pytest.mark.parametrize("levels", [60, 2_000])
def test_a_head_is_answered_though_sequences_nested_without_end_came_with_it(
    running: Running, bleeding: Patient, tmp_path: Path, levels: int
) -> None:
    written = bleeding.study(tmp_path / "study")
    dataset, head = small_image(), dcmread(written.all_files[0], stop_before_pixels=True)
    dataset.PatientID, dataset.PatientName = head.PatientID, head.PatientName  # else Orthanc makes two studies of it
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = written.truth.study_uid, generate_uid()
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    hostile = tmp_path / "nested.dcm"
    hostile.write_bytes(nest_sequences(levels, defined=False, dataset=dataset))
    before = running.local.orthanc.pid

    send([hostile, *written.all_files], running.settings.orthanc)
    told = running.answered(written.truth.study_uid)

    assert told["present"] is True
    assert "too_large" in {refusal["code"] for refusal in told["refusals"]}
    assert running.local.orthanc.pid == before


def test_no_foreign_page_and_no_program_without_a_secret_controls_anything(running: Running) -> None:
    settings = running.settings
    ports = {
        "Orthanc": (int(settings.orthanc.url.rpartition(":")[2]), "/tools/shutdown", 401),
        "Triton": (settings.triton.http_port, "/v2/repository/models/hemorrhage_detector/unload", 403),
        "the service": (settings.service.port, f"/series/{'-'.join(['0a1b2c3d'] * 5)}/analyze", 403),
    }
    for name, (port, path, status) in ports.items():
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request("POST", path, headers={"Origin": "http://evil.example", "Content-Type": "text/plain"})
        assert connection.getresponse().status == status, name
        connection.close()
    assert running.orthanc.post("/tools/shutdown", headers={"Origin": "http://evil.example"}).status_code == 403
    assert running.orthanc.get("/system", headers={"Host": "evil.example"}).status_code == 403
    assert running.service.get("/status", headers={"Host": "evil.example"}).status_code == 421
    assert running.service.get("/health/ready").status_code == 200
