# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Answers that reach a PACS, another real Orthanc, by the shipped examples of routing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until

FOLLOW = Path(__file__).parents[2] / "deploy" / "routing" / "follow_answers.py"
ALL = ["9001", "9002", "9003", "9004"]
"""The series of an answer: report, segmentation, key images, key objects."""


def series(client: httpx.Client, uid: str) -> list[str]:
    """Return the series numbers that an Orthanc holds of a study."""
    found = client.post("/tools/lookup", content=uid).raise_for_status().json()
    studies = [entry["ID"] for entry in found if entry["Type"] == "Study"]
    return sorted(
        one["MainDicomTags"]["SeriesNumber"]
        for study in studies
        for one in client.get(f"/studies/{study}/series").raise_for_status().json()
    )


def mark(running: Running, uid: str) -> dict[str, Any]:
    """Return the mark of a study, by its name."""
    study = running.orthanc_study(uid)
    answer: dict[str, Any] = (
        running.orthanc.get(f"/studies/{study}/metadata/HemorrhageAnswer").raise_for_status().json()
    )
    return answer


def test_the_script_sends_all_of_a_study_with_hemorrhage_and_the_report_of_another(
    running: Running, pacs: OrthancProcess, bleeding: Patient, healthy: Patient, tmp_path: Path
) -> None:
    uids = {}
    with pacs.client() as client:
        for name, patient, expected in (("bleeding", bleeding, ALL), ("healthy", healthy, ["9001"])):
            written = patient.study(tmp_path / name)
            uid = uids[name] = written.truth.study_uid
            running.send(written.all_files)
            record = running.answered(uid)
            assert mark(running, uid)["answer"] == ("present" if record["present"] else "absent")
            until(partial(holds, client, uid, expected), partial(series, client, uid))
            # Orthanc calls its scripts for this too, before those of the next study: nothing is sent again.
            study = running.orthanc_study(uid)
            running.orthanc.put(f"/studies/{study}/metadata/5000", content="seen").raise_for_status()
    report = mark(running, uids["bleeding"])["series"]["sr"]
    jobs = running.orthanc.get("/jobs", params={"expand": ""}).raise_for_status().json()
    assert sum(report in job["Content"].get("ParentResources", ()) for job in jobs) == 1


def holds(client: httpx.Client, uid: str, expected: list[str]) -> bool:
    return series(client, uid) == expected


def waiting(state: Path) -> dict[str, Any]:
    """Return what the program still has to send, by study."""
    read: dict[str, Any] = json.loads(state.read_text())["waiting"]
    return read


@contextmanager
def following(running: Running, state: Path) -> Iterator[None]:
    """Run the shipped program that follows the answers, with its output beside its state."""
    credentials = running.settings.state_dir / "credentials.toml"
    call = [sys.executable, FOLLOW, "--url", running.settings.orthanc.url, "--credentials", credentials]
    with state.with_suffix(".log").open("a") as log:
        program = subprocess.Popen(
            [*call, "--receiver", "READING", "--state", state, "--every", "0.2"], stdout=log, stderr=subprocess.STDOUT
        )
        try:
            until(state.exists, state.with_suffix(".log").read_text)
            yield
        finally:
            program.kill()
            program.wait()


def test_the_program_sends_what_the_receiver_could_not_take_once_it_can_after_a_restart_too(
    running: Running, healthy: Patient, bleeding: Patient, tmp_path: Path
) -> None:
    state = tmp_path / "answers.json"
    with following(running, state):
        uids = []
        for name, patient in (("healthy", healthy), ("bleeding", bleeding)):
            written = patient.study(tmp_path / name)
            running.send(written.all_files)
            uids.append(written.truth.study_uid)
            running.answered(uids[-1])
        studies = [running.orthanc_study(uid) for uid in uids]
        until(lambda: all(waiting(state).get(uid, {"tries": 0})["tries"] for uid in studies), state.read_text)
    title, _, place = running.settings.orthanc.receivers[1].partition("=")[2].rpartition("@")
    settings = with_free_ports(Settings(), tmp_path / "reading")
    orthanc = settings.orthanc.model_copy(
        update={"aet": title, "senders": ("HEMORRHAGE@127.0.0.1",), "dicom_port": int(place.rpartition(":")[2])}
    )
    reading = OrthancProcess(settings.model_copy(update={"orthanc": orthanc}), tmp_path / "reading", doorbell=False)
    with reading, reading.client() as client, following(running, state):
        until(lambda: not waiting(state).keys() & set(studies), state.read_text)
        assert series(client, uids[0]) == ["9001"]
        assert series(client, uids[1]) == ALL
        # Another metadata of a study sends nothing again.
        line = f"{studies[1]}: present, 4 series sent"
        running.orthanc.put(f"/studies/{studies[1]}/metadata/5000", content="seen").raise_for_status()
        seen = running.orthanc.get("/changes", params={"last": ""}).raise_for_status().json()["Last"]
        until(lambda: json.loads(state.read_text())["since"] >= seen, state.read_text)
        assert state.with_suffix(".log").read_text().count(line) == 1
