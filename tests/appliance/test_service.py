# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process, beside a real Orthanc with our plugin; everything is real but the network."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.uid import generate_uid

from appliance.errors import ApplianceError
from appliance.inference.regions import SHARED_MEMORY, stem
from appliance.ledger.ledger import Ledger
from appliance.ledger.queue import Queue
from appliance.ledger.records import Job
from appliance.orthanc import Orthanc
from appliance.sections.ledger import LedgerSettings
from appliance.service import Service
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.running import PATIENCE_S, Running, until
from tests.appliance.stand_in import Gate, StandInDetector, StandInRoom, head_series


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    folder = tmp_path_factory.mktemp("orthanc")
    with OrthancProcess(with_free_ports(Settings(), folder), folder) as running:
        yield running


@pytest.fixture(scope="module")
def service(orthanc: OrthancProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One service for all tests, as starting one takes seconds; who finds it stopped starts it again."""
    folder = tmp_path_factory.mktemp("service")
    made = Running(orthanc.settings.model_copy(update={"state_dir": folder / "state"}), folder)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


@pytest.fixture
def running(service: Running) -> Running:
    service.hold.with_suffix(".reached").unlink(missing_ok=True)
    service.start()
    return service


def fetch(url: str) -> httpx.Response:
    return httpx.get(url, trust_env=False, timeout=PATIENCE_S)


@pytest.fixture
def study() -> str:
    return str(generate_uid())


def test_a_study_that_comes_is_answered_and_the_plugin_said_when_it_came(running: Running, study: str) -> None:
    for file in head_series(study):
        running.orthanc.store(file)
    told = running.until_state(study, "done")
    assert told["present"] is True
    steps_s = sum(told["timing_ms"][step] for step in told["timing_ms"] if step != "deliver_rest") / 1000
    # Nothing is counted twice, and no long step is missing; between two steps a busy machine may do something else.
    assert steps_s - 0.01 < told["turnaround_s"] < steps_s + running.settings.intake.quiet_s
    assert told["turnaround_s"] > running.settings.intake.quiet_s
    until(lambda: "hemorrhage_turnaround_seconds_count 1.0" in fetch(running.url + "/metrics").text, "counted")


def test_a_service_killed_in_the_middle_goes_on_where_it_was_and_answers_once(running: Running, study: str) -> None:
    running.hold.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    until(running.hold.with_suffix(".reached").exists, "in the network")
    running.end(signal.SIGKILL)
    meanwhile = str(generate_uid())
    for file in head_series(meanwhile):
        running.orthanc.store(file)
    running.hold.unlink()
    running.start()
    told = running.until_state(study, "done")
    running.until_state(meanwhile, "done")
    assert [job["state"] for job in told["jobs"]] == ["done"]
    held = running.orthanc.study(told["orthanc_id"])
    modalities = [running.orthanc.series(series).modality for series in held.series]
    assert sorted(modalities) == ["CT", "KO", "OT", "SEG", "SR"]


def ends_until_refused(running: Running, study: str) -> list[int]:
    """Start the service again whenever it ends, until a study is refused; return the statuses that it ended with."""
    ends: list[int] = []

    def is_refused() -> bool:
        assert running.process is not None
        if running.process.poll() is not None:
            ends.append(running.process.returncode)
            running.launch()
        return running.study(study)["state"] == "refused"

    until(is_refused, "refused")
    return ends


def test_a_study_that_kills_its_reader_is_set_aside_with_the_evidence_and_the_next_is_answered(
    running: Running, study: str
) -> None:
    poison = running.hold.with_suffix(".poison")
    poison.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    ends = ends_until_refused(running, study)
    assert ends == [-signal.SIGABRT] * len(ends)
    assert 2 <= len(ends) <= 3  # the third when it was read ahead
    told = running.study(study)
    assert [refusal["code"] for refusal in told["refusals"]] == ["breaks_reader"]
    assert "SIGABRT" in told["refusals"][0]["reason"]
    assert running.process is not None
    assert running.process.poll() is None
    poison.unlink()
    other = str(generate_uid())
    for file in head_series(other):
        running.orthanc.store(file)
    running.until_state(other, "done")


def test_a_study_that_kills_the_service_while_intake_looks_at_it_is_set_aside_with_the_evidence(
    running: Running, study: str
) -> None:
    venom = running.hold.with_suffix(".venom")
    venom.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    ends = ends_until_refused(running, study)
    assert ends == [-signal.SIGABRT] * 2
    told = running.study(study)
    assert [refusal["code"] for refusal in told["refusals"]] == ["breaks_reader"]
    assert "SIGABRT, 2 times; the service had ended 2 times" in told["refusals"][0]["reason"]
    venom.unlink()
    other = str(generate_uid())
    for file in head_series(other):
        running.orthanc.store(file)
    running.until_state(other, "done")


def test_a_study_in_whose_middle_the_service_was_killed_again_and_again_is_answered(
    running: Running, study: str
) -> None:
    running.hold.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    for _ in range(3):
        until(running.hold.with_suffix(".reached").exists, "in the network")
        running.end(signal.SIGKILL)
        running.hold.with_suffix(".reached").unlink()
        running.launch()
    running.hold.unlink()
    told = running.until_state(study, "done")
    assert [job["state"] for job in told["jobs"]] == ["done"]


def test_a_service_told_to_stop_finishes_what_it_has_begun(running: Running, study: str) -> None:
    running.hold.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    until(running.hold.with_suffix(".reached").exists, "in the network")
    assert running.process is not None
    before = len(running.lines())
    running.process.send_signal(signal.SIGTERM)
    until(lambda: "stopping" in [line["event"] for line in running.lines()[before:]], "stopping")
    running.hold.unlink()
    assert running.process.wait(PATIENCE_S) == 0
    told = [line["event"] for line in running.lines()[before:] if line.get("study") == study]
    assert told == ["study answered"]


def test_an_orthanc_that_was_away_is_caught_up_with(running: Running, orthanc: OrthancProcess, study: str) -> None:
    orthanc.kill()
    until(lambda: not running.get("/health/ready").get("ready", True), "not ready")
    orthanc.start()
    for file in head_series(study):
        running.orthanc.store(file)
    running.until_state(study, "done")


def test_a_series_is_answered_on_request(running: Running, study: str) -> None:
    ids = [running.orthanc.store(file)[0] for file in head_series(study)]
    series = running.orthanc.series_of_instance(ids[0])
    answer = httpx.post(f"{running.url}/series/{series}/analyze", trust_env=False, timeout=PATIENCE_S)
    assert answer.status_code == 202
    until(lambda: any(job["requested"] and job["state"] == "done" for job in running.study(study)["jobs"]), "answered")


def test_every_line_of_the_log_is_json_and_names_no_patient(running: Running, study: str) -> None:
    for file in head_series(study):
        running.orthanc.store(file)
    running.until_state(study, "done")

    def answers() -> list[dict[str, Any]]:
        return [line for line in running.lines() if line["event"] == "study answered" and line["study"] == study]

    until(lambda: bool(answers()), "logged")  # a moment after the ledger has it
    (answered,) = answers()
    lines = running.lines()
    assert answered["job"] >= 1
    assert all(word not in json.dumps(lines) for word in ("Phantom", "PHANTOM"))


def test_leases_go_on_after_a_fault_of_the_service_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renewals = 0
    renewed_again = threading.Event()

    def renew(_queue: Queue, _held: list[Job], _lease_s: float) -> None:
        nonlocal renewals
        renewals += 1
        if renewals == 1:
            raise KeyError("a fault")
        renewed_again.set()

    monkeypatch.setattr(Queue, "renew", renew)
    settings = with_free_ports(Settings(ledger=LedgerSettings(lease_s=5)), tmp_path)
    service = Service(settings, StandInRoom(settings))
    service.start()
    try:
        assert renewed_again.wait(PATIENCE_S)
        assert service.list_dead() == []
    finally:
        service.stop()


@pytest.mark.parametrize(
    ("name", "metric"),
    [("stands_in", "hemorrhage_first_triton_left"), ("passed_over", "hemorrhage_version_passed_over")],
)
def test_a_triton_or_a_version_that_stands_in_is_a_metric_and_its_reason_no_label(
    tmp_path: Path, name: str, metric: str
) -> None:
    class SecondTriton(StandInRoom):
        def model(self) -> dict[str, str]:
            return {"name": "stand-in", "version": "1", name: "it does not load"}

    settings = with_free_ports(Settings(), tmp_path)
    service = Service(settings, SecondTriton(settings))
    service.start()
    try:
        metrics = f"http://127.0.0.1:{settings.service.port}/metrics"
        until(lambda: f"{metric} 1.0" in fetch(metrics).text, "told that another one answers")
        told = fetch(metrics).text
        assert "it does not load" not in told
        assert told.count("_left 1.0") + told.count("_version_passed_over 1.0") == 1
    finally:
        service.stop()


def test_two_services_on_one_state_folder_are_noticed(tmp_path: Path) -> None:
    first, second = (with_free_ports(Settings(), tmp_path) for _ in range(2))
    service = Service(first, StandInRoom(first))
    with pytest.raises(ApplianceError, match=r"state_dir = .*another service works on this folder"):
        Service(second, StandInRoom(second))
    service.start()
    service.stop()
    third = Service(second, StandInRoom(second))
    third.start()
    third.stop()


def test_a_worker_that_makes_no_step_for_too_long_is_not_live_and_loses_its_lease(
    tmp_path: Path, orthanc: OrthancProcess, study: str
) -> None:
    settings = with_free_ports(Settings(ledger=LedgerSettings(lease_s=5)), tmp_path)
    settings = settings.model_copy(update={"orthanc": orthanc.settings.orthanc})
    settings = settings.model_copy(update={"ledger": settings.ledger.model_copy(update={"stall_s": 0.5})})
    gate = Gate()
    service = Service(settings, StandInRoom(settings, StandInDetector(gate)))
    service.start()
    client = Orthanc(settings.orthanc)
    ledger = Ledger(settings.ledger_url)
    try:
        until(lambda: ledger.feed.position() is not None, "connected")
        for file in head_series(study):
            client.store(file)
        assert gate.reached.wait(PATIENCE_S)
        until(lambda: service.list_dead() == ["worker-0"], "stuck")
        (job,) = [job for status in ledger.views.newest_studies(9) for job in status.jobs]
        until(lambda: [one.id for one in ledger.queue.take_up("other/1", ())] == [job.id], "free for others")
    finally:
        gate.open()
        service.stop()
        client.close()
        ledger.close()


def test_what_a_killed_service_left_in_shared_memory_is_gone_soon_after_the_next_start(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = SHARED_MEMORY / f"{stem()}{ended.pid}-123-0"
    left.write_bytes(bytes(1024))
    settings = with_free_ports(Settings(), tmp_path)
    service = Service(settings, StandInRoom(settings))
    service.start()
    try:
        until(lambda: not left.exists(), "tidy")
    finally:
        service.stop()
        left.unlink(missing_ok=True)


def test_a_port_that_is_taken_stops_the_start_and_says_which(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    taken = socket.create_server(("127.0.0.1", settings.service.port))
    with taken, pytest.raises(ApplianceError, match=str(settings.service.port)):
        Service(settings, StandInRoom(settings))
    assert not (tmp_path / "ledger.sqlite").exists()
