# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Servers that are killed, stopped and started in the middle of a study: it is answered, once."""

from __future__ import annotations

from pathlib import Path

from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until


def assert_answered_once(running: Running, uid: str) -> None:
    record = running.answered(uid)
    assert [job["state"] for job in record["jobs"]] == ["done"]
    assert record["present"] is True
    assert running.modalities(uid) == ["CT", "KO", "OT", "SEG", "SR"]
    stored = running.stored(uid)
    assert stored.report.SOPInstanceUID == record["sr_uid"]
    assert len(stored.segmentations) == len(stored.key_objects) == 1


def test_a_service_killed_while_a_study_is_in_the_network_answers_it_once(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    with running.frozen_triton():
        running.send(written.all_files)
        running.until_state(written.truth.study_uid, "running")
        running.local.service.kill()
    running.local.service.start()
    assert_answered_once(running, written.truth.study_uid)


def test_a_service_killed_while_it_stores_results_leaves_them_once(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    uid = written.truth.study_uid
    running.send(written.all_files)
    until(lambda: "SEG" in running.modalities(uid), lambda: running.study(uid))
    running.local.service.kill()
    running.local.service.start()
    assert_answered_once(running, uid)


def test_a_study_that_comes_while_the_service_is_down_is_answered_when_it_is_back(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    running.local.service.stop()
    running.send(written.all_files)
    running.local.service.start()
    assert_answered_once(running, written.truth.study_uid)


def test_a_study_waits_for_triton_and_is_answered_when_it_is_back(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    running.local.triton.stop()
    running.send(written.all_files)
    waiting = running.until_state(written.truth.study_uid, "waiting")
    assert "Triton" in waiting["error"]
    assert waiting["next_try"]
    running.local.triton.start()
    assert_answered_once(running, written.truth.study_uid)


def test_a_study_goes_on_when_orthanc_was_away_while_it_was_in_the_network(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    uid = written.truth.study_uid
    with running.frozen_triton():
        running.send(written.all_files)
        running.until_state(uid, "running")
        running.local.orthanc.kill()
    running.until_state(uid, "waiting")
    running.local.orthanc.start()
    assert_answered_once(running, uid)


def test_a_study_that_came_just_before_orthanc_was_killed_is_answered_when_it_is_back(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    """Orthanc forgets that a series is to become stable: nobody tells of this study ever again."""
    running, written = interrupted, bleeding.study(tmp_path)
    running.local.service.stop()
    running.send(written.all_files)
    running.local.orthanc.kill()
    running.local.service.launch()
    running.local.orthanc.start()
    running.local.service.wait()
    assert_answered_once(running, written.truth.study_uid)


def test_a_study_deleted_while_it_is_in_the_network_leaves_a_refusal_and_no_results(
    interrupted: Running, bleeding: Patient, tmp_path: Path
) -> None:
    running, written = interrupted, bleeding.study(tmp_path)
    uid = written.truth.study_uid
    with running.frozen_triton():
        running.send(written.all_files)
        running.until_state(uid, "running")
        running.orthanc.delete(f"/studies/{running.orthanc_study(uid)}").raise_for_status()
    record = running.until_state(uid, "refused", "done", "failed")
    assert record["state"] == "refused"
    assert [refusal["code"] for refusal in record["refusals"]] == ["source_deleted"]
    assert record["deleted"] is True
    assert running.orthanc_study(uid) is None
