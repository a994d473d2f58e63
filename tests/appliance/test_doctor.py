# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from appliance import orthanc_storage
from appliance.delivery.rules import rules_digest
from appliance.doctor import diagnose as diagnose_module
from appliance.doctor.check import Check
from appliance.doctor.clock import check_clock
from appliance.doctor.diagnose import diagnose
from appliance.doctor.shared_memory import check_shared_memory
from appliance.drift.reference import LEAST_STUDIES, REFERENCE, Provenance, Reference, save
from appliance.inference.engine import served_engine
from appliance.inference.server import TritonServer
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Position, UnseenSeries
from appliance.orthanc import Orthanc
from appliance.reading.contract import DETECTOR, PARAMETER_ONNX_SHA256
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.state_folder import StateFolder
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from deploy.local.service import ServiceProcess
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import ENVIRONMENT
from tests.appliance.running import until

FIRST_SCHEMA = Path(__file__).parent / "ledger" / "first_schema.sql"
PASSWORD = "a-secret-of-the-site"


def change(settings: Settings, section: str, **values: Any) -> Settings:
    return settings.model_copy(update={section: getattr(settings, section).model_copy(update=values)})


def by_name(settings: Settings) -> dict[str, Check]:
    checks = diagnose(settings)
    assert len({check.name for check in checks}) == len(checks)
    for check in checks:
        assert bool(check.remedy) == (check.state != "ok"), check
        assert PASSWORD not in json.dumps(asdict(check))
    return {check.name: check for check in checks}


def an_instance() -> bytes:
    """Return a DICOM file of no patient."""
    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = generate_uid(), generate_uid(), "OT"
    dataset.PatientID, dataset.PatientName = "TEST", "Test"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an appliance of which nothing runs."""
    return with_free_ports(Settings(), tmp_path / "state")


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Settings of a running Orthanc with the plugin and a running Triton; the service does not run."""
    folder = tmp_path_factory.mktemp("neighbours")
    sha256 = write_repository(folder / "models")
    rows = tuple({"noise_hu": 4.0 + number / 10} for number in range(LEAST_STUDIES))
    made = Provenance("2026-01-01T00:00:00Z", "studies by formula", "a command")
    save(Reference(sha256, made, rows), folder / "models" / DETECTOR / "1" / REFERENCE)
    settings = with_free_ports(Settings(), folder / "state")
    settings = change(settings, "triton", model_repository=folder / "models", environment=ENVIRONMENT)
    settings = change(settings, "orthanc", username="reader", password=PASSWORD)
    # How full this machine's disk is says nothing of the appliance; that the disk is watched has its own test.
    settings = settings.model_copy(update={"disk_low_gb": 0})
    with OrthancProcess(settings, folder / "orthanc"), TritonServer(settings.triton, folder / "triton"):
        until(lambda: bool(served_engine(settings.triton, DETECTOR)), "metrics, which Triton opens last")
        yield settings


@pytest.fixture
def other_program() -> Iterator[int]:
    """Port of an HTTP server that is none of ours."""

    class Teapot(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(418)
            self.end_headers()
            self.wfile.write(b"short and stout")

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Teapot) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_when_nothing_runs_each_neighbour_is_named_with_what_to_start(settings: Settings) -> None:
    checks = by_name(settings)
    assert {name for name, check in checks.items() if check.state == "fail"} == {
        "orthanc",
        "c-echo",
        "triton",
        "service",
    }
    for name in ("orthanc", "triton", "service"):
        assert "make up" in checks[name].remedy
    assert str(settings.orthanc.dicom_port) in checks["c-echo"].what


def test_a_diagnosis_makes_neither_folder_nor_ledger(settings: Settings) -> None:
    diagnose(settings)
    assert not settings.state_dir.exists()


@pytest.mark.parametrize(("times_free", "state"), [(0.5, "ok"), (2, "warn"), (100, "fail")])
def test_the_room_on_the_disk_is_measured_against_the_setting(
    settings: Settings, tmp_path: Path, times_free: float, state: str
) -> None:
    low_gb = times_free * shutil.disk_usage(tmp_path).free / 1e9
    check = by_name(settings.model_copy(update={"disk_low_gb": low_gb}))["disk"]
    assert check.state == state
    assert "GB free at" in check.what
    assert ("make room" in check.remedy) == (state != "ok")
    assert ("less than" in check.what) == (state != "ok")


def test_a_disk_that_is_not_watched_is_said_to_be(settings: Settings) -> None:
    check = by_name(settings.model_copy(update={"disk_low_gb": 0}))["disk"]
    assert check.state == "ok"
    assert "not watched" in check.what


def test_what_runs_well_is_ok_and_the_missing_service_is_seen_from_both_sides(neighbours: Settings) -> None:
    checks = by_name(neighbours)
    faults = {name: check.state for name, check in checks.items() if check.state != "ok"}
    assert faults == {"service": "fail", "doorbell": "warn"}
    assert "does not reach the service" in checks["doorbell"].what
    assert "Orthanc 1." in checks["orthanc"].what
    assert f"{neighbours.orthanc.aet} at 127.0.0.1:{neighbours.orthanc.dicom_port} answers" in checks["c-echo"].what
    assert "version blob-1" in checks["model"].what
    assert checks["model"].what.endswith("threshold 0.4 (suggested by the model), lesions not extended")
    assert checks["golden answer"].what == "the golden chunk comes back right"
    assert re.fullmatch(r"onnxruntime-fp32 \(.*AVX.*, 1 thread\), chosen by the CPU", checks["engine"].what)


def test_an_engine_that_is_not_the_one_asked_for_is_told(neighbours: Settings) -> None:
    asked = neighbours.triton.model_copy(update={"engine": "openvino-fp32"})
    check = by_name(neighbours.model_copy(update={"triton": asked}))["engine"]
    assert check.state == "warn"
    assert check.what.endswith("and triton.engine asks for openvino-fp32")
    assert "restart Triton" in check.remedy


def test_metrics_that_do_not_say_the_engine_are_told_with_their_port(neighbours: Settings) -> None:
    elsewhere = neighbours.triton.model_copy(update={"metrics_port": neighbours.orthanc.dicom_port})
    check = by_name(neighbours.model_copy(update={"triton": elsewhere}))["engine"]
    assert check.state == "warn"
    assert f"127.0.0.1:{neighbours.orthanc.dicom_port}" in check.what


@pytest.mark.parametrize(("ahead_s", "told"), [(-3600, "3600 s behind"), (90, "90 s ahead of")])
def test_a_clock_that_is_not_orthancs_is_told(
    neighbours: Settings, monkeypatch: pytest.MonkeyPatch, ahead_s: float, told: str
) -> None:
    with closing(Orthanc(neighbours.orthanc)) as orthanc:
        (check,) = check_clock(orthanc)
        assert (check.state, check.remedy) == ("ok", "")
        now = orthanc.now
        monkeypatch.setattr(orthanc, "now", lambda: now() + ahead_s)
        (check,) = check_clock(orthanc)
    assert check.state == "warn"
    assert re.search(r"clock is (\d+) s (ahead of|behind)", check.what)
    assert abs(int(re.findall(r"\d+", check.what)[0]) - abs(ahead_s)) <= 1
    assert told.split(" ", 2)[2] in check.what


def test_the_scores_from_which_detections_count_are_told(neighbours: Settings) -> None:
    checks = by_name(change(neighbours, "finding", threshold=0.9))
    assert checks["model"].what.endswith("threshold 0.9 (set by the site), lesions extended from 0.5")


def test_a_whole_appliance_in_health_has_no_word_of_advice(neighbours: Settings, tmp_path: Path) -> None:
    with ServiceProcess(neighbours, tmp_path / "service"):
        checks = by_name(neighbours)
    assert {check.state for check in checks.values()} == {"ok"}, checks
    assert checks["ledger"].what.endswith("opens and takes writes")
    assert checks["service"].what == f"ready at http://127.0.0.1:{neighbours.service.port}"


def test_a_wrong_password_is_a_fault_of_the_settings_and_is_not_told(neighbours: Settings) -> None:
    wrong = change(neighbours, "orthanc", password="guessed")
    checks = by_name(wrong)
    assert checks["orthanc"].state == "fail"
    assert "orthanc.username and orthanc.password" in checks["orthanc"].remedy
    assert "guessed" not in json.dumps([asdict(check) for check in checks.values()])


def test_no_secret_is_told_even_when_it_stands_in_an_address(settings: Settings) -> None:
    told = change(settings, "orthanc", url=f"http://reader:{PASSWORD}@127.0.0.1:{settings.orthanc.dicom_port}")
    told = change(told, "ledger", url=f"postgresql+psycopg://reader:{PASSWORD}@127.0.0.1:1/ledger")
    checks = by_name(told)
    assert checks["ledger"].state == "fail"
    assert checks["orthanc"].state == "fail"


@pytest.mark.parametrize("password", ["b", "Orthanc", "the", "127.0.0.1"])
def test_a_password_is_not_told_by_masking_it_where_it_stands_by_chance(settings: Settings, password: str) -> None:
    named = change(settings, "orthanc", username="reader", password=password)
    with_it = [asdict(check) for check in diagnose(named)]
    assert with_it == [asdict(check) for check in diagnose(change(named, "orthanc", password="another"))]
    assert "***" not in json.dumps(with_it)


def test_a_doorbell_that_rings_elsewhere_is_told_with_both_addresses(neighbours: Settings) -> None:
    moved = change(neighbours, "service", port=1234)
    doorbell = by_name(moved)["doorbell"]
    assert doorbell.state == "warn"
    assert f"http://127.0.0.1:{neighbours.service.port}" in doorbell.what
    assert "http://127.0.0.1:1234" in doorbell.what
    assert "Hemorrhage.ServiceUrl" in doorbell.remedy


def test_an_orthanc_without_our_plugin_is_told_what_to_name(settings: Settings, tmp_path: Path) -> None:
    with OrthancProcess(settings, tmp_path / "orthanc", doorbell=False):
        checks = by_name(settings)
    assert checks["orthanc"].state == "ok"
    assert checks["orthanc python plugin"].state == "warn"
    assert "orthanc-python" in checks["orthanc python plugin"].remedy


def test_a_doorbell_that_stays_off_is_a_warning_for_studies_are_still_found(settings: Settings, tmp_path: Path) -> None:
    with OrthancProcess(settings, tmp_path / "orthanc", overrides={"Hemorrhage": {"TimeoutSeconds": "short"}}):
        checks = by_name(settings)
    assert checks["orthanc python plugin"].state == "ok"
    assert checks["doorbell"].state == "warn"
    assert "/hemorrhage/status answers 404" in checks["doorbell"].what


def test_an_orthanc_that_checks_the_called_title_shows_a_wrong_one(settings: Settings, tmp_path: Path) -> None:
    with OrthancProcess(settings, tmp_path / "orthanc", overrides={"DicomCheckCalledAet": True}):
        checks = by_name(change(settings, "orthanc", aet="SOMEONE_ELSE"))
    assert checks["orthanc dicom"].state == "warn"
    assert "orthanc.aet = 'SOMEONE_ELSE' but Orthanc has 'HEMORRHAGE'" in checks["orthanc dicom"].what
    assert checks["c-echo"].state == "fail"
    assert "turned the association down" in checks["c-echo"].what


def test_another_program_on_a_port_is_not_taken_for_orthanc_triton_or_the_service(
    settings: Settings, other_program: int
) -> None:
    elsewhere = change(settings, "orthanc", url=f"http://127.0.0.1:{other_program}", dicom_port=other_program)
    elsewhere = change(elsewhere, "triton", http_port=other_program)
    elsewhere = change(elsewhere, "service", port=other_program)
    checks = by_name(elsewhere)
    assert "answers 418, but not as an Orthanc" in checks["orthanc"].what
    assert "does not speak DICOM" in checks["c-echo"].what
    assert "answers 418 and is not live" in checks["triton"].what
    assert "answers 418 and is not live" in checks["service"].what


def test_a_model_file_newer_than_the_served_one_asks_for_a_restart(neighbours: Settings, tmp_path: Path) -> None:
    write_repository(tmp_path / "models")
    file = tmp_path / "models" / DETECTOR / "1" / "model.onnx"
    file.write_bytes(file.read_bytes() + b"\x00")
    check = by_name(change(neighbours, "triton", model_repository=tmp_path / "models"))["model repository"]
    assert check.state == "warn"
    assert "restart Triton" in check.remedy


def test_the_reference_for_drift_is_told_and_missed_where_the_model_has_none(
    neighbours: Settings, tmp_path: Path
) -> None:
    assert by_name(neighbours)["drift reference"].what == "50 studies: studies by formula (2026-01-01)"
    write_repository(tmp_path / "models")
    check = by_name(change(neighbours, "triton", model_repository=tmp_path / "models"))["drift reference"]
    assert check.state == "warn"
    assert check.what.endswith("has no reference: drift is not watched")
    assert check.remedy.startswith("make one with `python -m benchmarks.reference`")
    assert "appliance drift freeze" in check.remedy


def test_a_served_model_of_another_contract_is_told_with_what_differs(settings: Settings, tmp_path: Path) -> None:
    write_repository(tmp_path / "models", parameters={PARAMETER_ONNX_SHA256: None})
    settings = change(settings, "triton", model_repository=tmp_path / "models", environment=ENVIRONMENT)
    with TritonServer(settings.triton, tmp_path / "triton"):
        model = by_name(settings)["model"]
    assert model.state == "fail"
    assert "parameter onnx_sha256 is missing" in model.what


def test_shared_memory_is_missed_where_it_would_help_and_questioned_where_it_cannot(neighbours: Settings) -> None:
    check = by_name(change(neighbours, "triton", shared_memory=False))["shared memory"]
    assert check.state == "warn"
    assert "off, though Triton runs on this machine" in check.what
    (elsewhere,) = check_shared_memory(change(neighbours, "triton", host="triton.example"))
    assert elsewhere.state == "warn"
    assert "on, though Triton runs on triton.example" in elsewhere.what


@pytest.mark.parametrize(("seconds", "state"), [(1, "ok"), (6, "warn")])
def test_a_late_stable_series_shows_orthancs_stable_age(
    settings: Settings, tmp_path: Path, seconds: int, state: str
) -> None:
    with OrthancProcess(settings, tmp_path / "orthanc", doorbell=False, overrides={"StableAge": seconds}) as orthanc:
        assert "not known" in by_name(settings)["orthanc StableAge"].what
        with orthanc.client() as client:
            client.post("/instances", content=an_instance()).raise_for_status()
            until(lambda: "StableSeries" in client.get("/changes").text, "stable")
        assert by_name(settings)["orthanc StableAge"].state == state


def test_a_folder_that_is_a_file_and_a_ledger_that_is_no_database_are_faults(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("not a database, not a folder")
    checks = by_name(settings.model_copy(update={"state_dir": tmp_path / "file"}))
    assert checks["state folder"].state == "fail"
    checks = by_name(change(settings, "ledger", url=f"sqlite:///{tmp_path / 'file'}"))
    assert checks["ledger"].state == "fail"
    checks = by_name(change(settings, "ledger", url="no address"))
    assert checks["ledger"].state == "fail"


def test_a_service_on_the_ledger_that_works_by_other_rules_is_named(settings: Settings) -> None:
    ledger = Ledger(settings.ledger_url)
    try:
        ledger.services.beat("one-like-us", "1", rules_digest(settings))
        assert "rules of services" not in by_name(settings)
        ledger.services.beat("another-one", "1", "b" * 64)
        told = by_name(settings)["rules of services"]
        assert (told.state, "another-one" in told.what, "one-like-us" in told.what) == ("warn", True, False)
    finally:
        ledger.close()


def test_a_ledger_in_use_opens(settings: Settings) -> None:
    ledger = Ledger(settings.ledger_url)
    try:
        assert by_name(settings)["ledger"].what.endswith("opens and takes writes")
    finally:
        ledger.close()


def test_files_of_another_user_in_the_state_folder_are_told_with_the_command_that_mends_it(settings: Settings) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a file to another user")
    Ledger(settings.ledger_url).close()
    StateFolder(settings.state_dir).close()
    assert by_name(settings)["state folder"].state == "ok"
    for name in ("identity.json", "ledger.sqlite"):
        os.chown(settings.state_dir / name, 65534, 65534)
    checks = by_name(settings)
    assert checks["state folder"].state == checks["ledger"].state == "fail"
    assert "identity.json" in checks["state folder"].what
    assert f"chown --reference={settings.state_dir}" in checks["ledger"].remedy
    # A doctor that runs as root in a folder of the service's user writes nothing there.
    os.chown(settings.state_dir, 65534, 65534)
    os.chown(settings.state_dir / "service.lock", 65534, 65534)
    ledger = by_name(settings)["ledger"]
    assert ledger.state == "warn"
    assert "runuser" in ledger.remedy
    assert not (settings.state_dir / "ledger.sqlite-wal").exists()


def test_a_state_folder_on_a_full_disk_is_a_fault(settings: Settings, tmp_path: Path) -> None:
    settings.state_dir.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", settings.state_dir], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("no disk can be mounted by this user")
    try:
        assert by_name(settings)["state folder"].state == "ok"
        (settings.state_dir / "filler").write_bytes(bytes(2**20 - 64 * 1024))
        check = by_name(settings)["state folder"]
    finally:
        subprocess.run(["umount", settings.state_dir], check=True)
    assert check.state == "fail"
    assert "No space left" in check.what


def test_orthancs_storage_is_watched_where_it_is_known(
    neighbours: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "orthanc storage" not in by_name(neighbours)
    watched = change(neighbours, "orthanc", storage=tmp_path)
    monkeypatch.setattr(orthanc_storage, "ROOM_FOR_A_STUDY", 1)
    assert by_name(watched)["orthanc storage"].state == "ok"
    monkeypatch.setattr(orthanc_storage, "ROOM_FOR_A_STUDY", 10**18)
    assert by_name(watched)["orthanc storage"].state == "fail"


def test_series_that_could_not_be_looked_at_are_told(settings: Settings) -> None:
    ledger = Ledger(settings.ledger_url)
    ledger.feed.begin(Position(1, "NewInstance a 1", 0.0))
    ledger.sweeps.settle((), (), (), [UnseenSeries("a", 1, 0.0, "HTTP 400")])
    ledger.close()
    check = by_name(settings)["unseen series"]
    assert (check.state, check.what[:8]) == ("warn", "1 series")


def test_a_misspelt_environment_variable_is_noticed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLIANCE_INTAKE__QUIET_S", "3")
    assert by_name(settings)["settings"].state == "ok"
    monkeypatch.setenv("APPLIANCE_INTAKE__QUIETS", "3")
    check = by_name(settings)["settings"]
    assert check.state == "warn"
    assert "APPLIANCE_INTAKE__QUIETS" in check.what


def test_the_settings_file_in_force_is_named(tmp_path: Path) -> None:
    file = tmp_path / "site.toml"
    file.write_text('state_dir = "/tmp"\n[service]\nport = 1\n')
    assert by_name(load_settings(file))["settings"].what == f"read from {file}"


def test_a_ledger_of_an_older_version_is_left_for_the_service_to_migrate(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    with sqlite3.connect(file) as ledger:
        ledger.executescript(FIRST_SCHEMA.read_text().format(number="INTEGER"))
    check = by_name(change(settings, "ledger", url=f"sqlite:///{file}"))["ledger"]
    assert (check.state, "the next start of the service migrates it" in check.what) == ("ok", True)
    with sqlite3.connect(file) as ledger:
        assert ledger.execute("SELECT version FROM schema").fetchall() == [(1,)]


def test_one_new_check_is_a_line_of_the_diagnosis_and_one_that_breaks_ends_no_other(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check_moon(_: Settings) -> Iterator[Check]:
        yield Check("moon", "ok", "full")

    def check_sun(_: Settings) -> Iterator[Check]:
        raise KeyError("dark")

    monkeypatch.setattr(diagnose_module, "CHECKS", (("sun", check_sun), ("moon", check_moon)))
    sun, moon = diagnose(settings)
    assert (sun.name, sun.state) == ("sun", "fail")
    assert "KeyError" in sun.what
    assert moon == Check("moon", "ok", "full")
