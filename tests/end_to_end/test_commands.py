# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The commands that people run beside a running appliance."""

from __future__ import annotations

import json
from pathlib import Path

from tests.end_to_end.command import appliance
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running


def test_the_doctor_finds_no_fault_in_a_running_appliance(running: Running) -> None:
    done = appliance("doctor", "--json", "--settings", running.settings_file)
    checks = json.loads(done.stdout)
    assert [check for check in checks if check["state"] not in ("ok", "warn")] == []
    assert done.returncode == 0
    names = " ".join(check["name"] for check in checks)
    assert all(part in names for part in ("settings", "orthanc", "c-echo", "plugin", "triton", "model", "service"))


def test_the_doctor_says_what_to_do_about_a_triton_that_is_away(interrupted: Running) -> None:
    interrupted.local.triton.stop()
    done = appliance("doctor", "--json", "--settings", interrupted.settings_file)
    assert done.returncode == 1
    faults = {check["name"]: check["remedy"] for check in json.loads(done.stdout) if check["state"] == "fail"}
    assert faults["triton"]
    assert "orthanc" not in faults


def test_the_status_lists_a_study_with_its_state_and_turnaround(
    running: Running, bleeding: Patient, tmp_path: Path
) -> None:
    written = bleeding.study(tmp_path)
    uid = written.truth.study_uid
    running.send(written.all_files)
    running.answered(uid)
    document = json.loads(appliance("status", "--json", "--settings", running.settings_file).stdout)
    told = {study["study_uid"]: study for study in document["studies"]}
    assert told[uid]["state"] == "done"
    assert told[uid]["turnaround_s"] > running.settings.intake.quiet_s
    shown = appliance("status", "--settings", running.settings_file, columns=250).stdout
    assert uid in shown
    assert "hemorrhage" in shown
