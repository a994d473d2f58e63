# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A new version of the detector takes over, and is taken back, while studies come: none is lost, refused or put off."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from pathlib import Path

import onnx
import pytest

from appliance.reading import contract
from conversion.repository import lay_out
from conversion.triton_model import BYTES, FULL, GATE
from deploy.local.appliance import ROOT
from tests.end_to_end.command import appliance
from tests.end_to_end.patient import Patient
from tests.end_to_end.running import Running, until

SHIPPED = ROOT / "model_repository" / contract.DETECTOR / "1" / FULL


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model repository with the shipped network as version 2: it answers alike, and its file is another.

    The engine is the same too, by the verdicts of the precision gate on the same weights.
    """
    folder = tmp_path_factory.mktemp("release")
    model = onnx.load(str(SHIPPED))
    for said in model.metadata_props:
        if said.key == contract.PARAMETER_MODEL_VERSION:
            said.value = "2"
    onnx.save(model, str(folder / FULL))
    gate = json.loads(SHIPPED.with_name(GATE).read_text())
    gate["sha256"][FULL] = hashlib.sha256((folder / FULL).read_bytes()).hexdigest()
    (folder / GATE).write_text(json.dumps(gate))
    shutil.copyfile(SHIPPED.with_name(BYTES), folder / BYTES)
    lay_out(folder / FULL, folder / "repository", 2, folder)
    return folder / "repository"


class Stream:
    """A scanner that sends a study of one patient after the other until it is stopped.

    Two are on their way at each moment, however fast the machine is.
    """

    def __init__(self, running: Running, patient: Patient, folder: Path) -> None:
        self._running, self._patient, self._folder = running, patient, folder
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self.sent: list[str] = []

    def __enter__(self) -> Stream:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def more(self, count: int) -> None:
        """Return once that many further studies have been sent."""
        wanted = len(self.sent) + count
        until(lambda: len(self.sent) >= wanted, lambda: self.sent)

    def _send(self) -> None:
        while not self._stopping.is_set():
            written = self._patient.study(self._folder / str(len(self.sent)))
            self._running.send(written.all_files)
            self.sent.append(written.truth.study_uid)
            for uid in self.sent[-2:-1]:
                self._running.answered(uid)


def models(running: Running, *arguments: str | Path) -> str:
    done = appliance("models", *arguments, "--settings", running.settings_file)
    assert done.returncode == 0, done.stderr
    return done.stdout


def list_versions(running: Running) -> dict[str, dict[str, object]]:
    return {row["version"]: row for row in json.loads(models(running, "list", "--json"))["versions"]}


def test_a_model_is_promoted_and_rolled_back_under_a_stream_of_studies_and_none_is_lost_or_put_off(
    running: Running, bleeding: Patient, release: Path, tmp_path: Path
) -> None:
    with Stream(running, bleeding, tmp_path) as stream:
        stream.more(1)
        models(running, "load", release)
        before = len(stream.sent)
        models(running, "promote", "2")
        promoted = len(stream.sent)
        stream.more(4)
        assert list_versions(running)["2"]["answers"] is True
        going_back = len(stream.sent)
        models(running, "rollback")
        back = len(stream.sent)
        stream.more(2)
    records = [running.answered(uid) for uid in stream.sent]
    shas = {version: row["sha256"] for version, row in list_versions(running).items()}
    read_by = [record["model"]["sha256"] for record in records]
    # Of the two that are on their way when a version takes over, either may read them.
    assert set(read_by[: before - 2]) <= {shas["1"]}
    assert set(read_by[promoted + 1 : going_back - 2]) == {shas["2"]}
    assert set(read_by[back + 1 :]) == {shas["1"]}
    for record in records:
        assert [job["state"] for job in record["jobs"]] == ["done"]
        assert (record["tries"], record["error"], record["refusals"]) == (1, None, [])
    for uid, sha256 in zip(stream.sent, read_by, strict=True):
        assert running.stored(uid).report.DeviceSerialNumber == sha256[:16]
    assert list_versions(running)["1"]["answers"] is True


def test_a_shadow_reads_an_answered_study_too_and_delivers_nothing(
    running: Running, healthy: Patient, release: Path, tmp_path: Path
) -> None:
    models(running, "load", release)
    models(running, "shadow", "2")
    try:
        written = healthy.study(tmp_path)
        running.send(written.all_files)
        record = running.answered(written.truth.study_uid)
        held = running.modalities(written.truth.study_uid)
        until(
            lambda: json.loads(models(running, "compare", "--json"))["studies"] == 1,
            lambda: models(running, "compare", "--json"),
        )
        compared = json.loads(models(running, "compare", "--json"))
        assert compared["answered_by"] == {record["model"]["version"]: 1}
        assert compared["examples"] == []
        assert compared["both_absent" if record["present"] is False else "both_present"] == 1
        assert compared["unread"] == {}
        assert running.modalities(written.truth.study_uid) == held
        assert list_versions(running)["2"]["shadow"] is True
    finally:
        models(running, "unshadow")
    assert list_versions(running)["2"]["shadow"] is False
