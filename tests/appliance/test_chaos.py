# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger taken away in the middle of a study, really: the live service answers it when the ledger is back.

A lock by another process, a full disk and a stopped PostgreSQL; each longer than the service waits for one write.
Orthanc, the ledger and the service's process are real, the network alone is the stand-in.
"""

from __future__ import annotations

import contextlib
import io
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid

from appliance.delivery.store import store
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.ledger.postgres import PostgresServer
from tests.appliance.running import Running, until
from tests.appliance.stand_in import head_series

MORE = "[ledger]\nbusy_s = 0.3\nlease_s = {lease_s}\n{url}"
ROOM_MIB = 8


@pytest.fixture
def study() -> str:
    return str(generate_uid())


def service_of(settings: Settings, folder: Path, state: Path, url: str = "", lease_s: float = 60) -> Running:
    """Return a service, not started yet, with a state folder of its own beside the module's Orthanc."""
    folder.mkdir(exist_ok=True)
    own = with_free_ports(settings, state).model_copy(update={"orthanc": settings.orthanc})
    return Running(own, folder, MORE.format(lease_s=lease_s, url=f"url = '{url}'\n" if url else ""))


@contextmanager
def start(running: Running) -> Iterator[Running]:
    running.start()
    try:
        yield running
    finally:
        if running.process is not None and running.process.poll() is None:
            running.process.kill()
            running.process.wait()


def end_a_try_while(running: Running, study: str, ledger_away: Callable[[], AbstractContextManager[None]]) -> None:
    """Let a study come to the end of the network while the ledger is away; return when that could not be recorded."""
    running.hold.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    until(running.hold.with_suffix(".reached").exists, "in the network")
    with ledger_away():
        running.hold.unlink()
        until(lambda: "worker waits" in [line["event"] for line in running.lines()], "unable to record the end")
        until(lambda: not running.get("/health/ready").get("ready", True), "not ready")


def why_orthanc_is_not_ready(running: Running) -> str:
    """Return what the service says is wrong with Orthanc, empty where it says nothing."""
    return str(running.get("/health/ready").get("reasons", {}).get("orthanc", ""))


def assert_answered_once_by_the_living(running: Running, study: str) -> None:
    assert running.process is not None
    told = running.until_state(study, "done")
    assert [job["state"] for job in told["jobs"]] == ["done"]
    assert running.process.poll() is None
    until(lambda: running.get("/health/ready").get("ready", False), "ready")
    held = running.orthanc.study(told["orthanc_id"])
    modalities = [running.orthanc.series(series).modality for series in held.series]
    assert sorted(modalities) == ["CT", "KO", "OT", "SEG", "SR"]


def test_a_study_whose_end_met_a_locked_ledger_is_answered_without_a_restart(
    settings: Settings, tmp_path: Path, study: str
) -> None:
    running = service_of(settings, tmp_path, tmp_path / "state")
    program = (
        "import sqlite3, sys\n"
        "ledger = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)\n"
        "ledger.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.read()\n"
    )

    @contextmanager
    def lock() -> Iterator[None]:
        command = [sys.executable, "-c", program, str(tmp_path / "state" / "ledger.sqlite")]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline() == b"locked\n"
            yield
            other.stdin.close()

    with start(running):
        end_a_try_while(running, study, lock)
        assert_answered_once_by_the_living(running, study)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 8 MiB. Mounting one takes rights that not everyone has who runs the tests."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM_MIB}m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted by this user: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_study_whose_end_met_a_full_disk_is_answered_when_there_is_room_again(
    settings: Settings, tmp_path: Path, small_disk: Path, study: str
) -> None:
    running = service_of(settings, tmp_path, small_disk / "state")

    @contextmanager
    def full() -> Iterator[None]:
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        yield
        until(lambda: "state folder" in running.get("/health/ready").get("reasons", {}), "told of the full disk")
        filler.unlink()

    with start(running):
        end_a_try_while(running, study, full)
        assert_answered_once_by_the_living(running, study)


@pytest.mark.parametrize("put", ["renamed", "replaced"])
def test_a_ledger_whose_file_was_moved_away_takes_nothing_until_it_is_put_back(
    settings: Settings, tmp_path: Path, study: str, put: str
) -> None:
    state = tmp_path / "state"

    @contextmanager
    def moved_away() -> Iterator[None]:
        files = sorted(state.glob("ledger.sqlite*"))
        for file in files:
            file.rename(state / f"away-{file.name}")
        if put == "replaced":
            (state / "ledger.sqlite").write_bytes((state / "away-ledger.sqlite").read_bytes())
        yield
        for file in files:
            (state / f"away-{file.name}").replace(file)

    with start(service_of(settings, tmp_path / "service", state)) as running:
        end_a_try_while(running, study, moved_away)
        assert "removed, renamed or replaced" in "".join(line.get("error", "") for line in running.lines())
        assert_answered_once_by_the_living(running, study)


def test_an_orthanc_whose_disk_is_full_is_not_ready_and_takes_the_answer_when_there_is_room(
    tmp_path: Path, small_disk: Path, study: str
) -> None:
    settings = with_free_ports(Settings(), tmp_path / "ports")
    with OrthancProcess(settings, small_disk / "orthanc", doorbell=False):
        running = service_of(settings, tmp_path, tmp_path / "state")
        with start(running):
            running.hold.touch()
            for file in head_series(study):
                running.orthanc.store(file)
            until(running.hold.with_suffix(".reached").exists, "in the network")
            filler = small_disk / "filler"
            with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(bytes(4096))
            running.hold.unlink()
            running.until_state(study, "waiting")
            until(lambda: "did not take a result" in why_orthanc_is_not_ready(running), "told that it takes no result")
            filler.unlink()
            assert_answered_once_by_the_living(running, study)


def test_a_result_that_a_full_disk_did_not_take_is_not_taken_for_stored(tmp_path: Path, small_disk: Path) -> None:
    """Orthanc 1.10 confirms an object that fits into its buffer and keeps nothing of it."""
    settings = with_free_ports(Settings(), tmp_path / "ports")
    index_elsewhere = {"IndexDirectory": str(tmp_path / "index")}
    report = dcmread(io.BytesIO(head_series(str(generate_uid()), 1)[0]))
    with OrthancProcess(settings, small_disk / "orthanc", doorbell=False, overrides=index_elsewhere):
        orthanc = Orthanc(settings.orthanc)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        with pytest.raises(UnavailableError) as refused:
            store(orthanc, report)
        refusal = orthanc.store_refusal.within(60)
        assert refusal is not None
        assert refusal.reason == str(refused.value)
        filler.unlink()
        held = orthanc.file(store(orthanc, report))
        assert dcmread(io.BytesIO(held)).PixelData == report.PixelData
        assert orthanc.store_refusal.within(60) is None
        orthanc.close()


TURNS_DOWN = """
function IncomingHttpRequestFilter(method, uri, ip, username, httpHeaders)
  return method ~= 'POST' or uri ~= '/instances'
end
"""
FILTERS_OUT = """
function ReceivedInstanceFilter(dicom, origin, info)
  return dicom['Modality'] == 'CT'
end
"""
DIES_OF = """
function OnStoredInstance(instanceId, tags, metadata)
  if tags['Modality'] == '{modality}' then os.execute('kill -9 $PPID') end
end
"""


@contextmanager
def held_in_the_network(running: Running, study: str) -> Iterator[None]:
    """Let a study come as far as the network, and go on afterwards."""
    running.hold.touch()
    for file in head_series(study):
        running.orthanc.store(file)
    until(running.hold.with_suffix(".reached").exists, "in the network")
    yield
    running.hold.unlink()


@pytest.mark.parametrize("script", [TURNS_DOWN, FILTERS_OUT], ids=["turns down", "filters out"])
def test_an_orthanc_that_takes_no_results_has_them_once_when_it_takes_them_again(
    tmp_path: Path, study: str, script: str
) -> None:
    settings = with_free_ports(Settings(), tmp_path / "ports")
    (tmp_path / "script.lua").write_text(script)
    usual = OrthancProcess(settings, tmp_path / "orthanc", doorbell=False)
    scripts = {"LuaScripts": [str(tmp_path / "script.lua")]}
    read_only = OrthancProcess(settings, tmp_path / "orthanc", doorbell=False, overrides=scripts)
    running = service_of(settings, tmp_path, tmp_path / "state")
    with usual, start(running):
        with held_in_the_network(running, study):
            usual.stop()
            read_only.start()
        try:
            running.until_state(study, "waiting")
            until(lambda: running.study(study)["tries"] > running.settings.intake.poison_tries, "tried often")
            until(lambda: "did not take" in why_orthanc_is_not_ready(running), "told")
            modalities = [running.orthanc.series(one).modality for one in series_of(running, study)]
            assert modalities == ["CT"]
        finally:
            read_only.stop()
        usual.start()
        assert_answered_once_by_the_living(running, study)


@pytest.mark.parametrize("modality", ["SEG", "SR", "KO"])
def test_results_are_there_once_and_whole_after_an_orthanc_that_died_while_it_took_them(
    tmp_path: Path, study: str, modality: str
) -> None:
    settings = with_free_ports(Settings(), tmp_path / "ports")
    (tmp_path / "script.lua").write_text(DIES_OF.format(modality=modality))
    scripts = {"LuaScripts": [str(tmp_path / "script.lua")]}
    mortal = OrthancProcess(settings, tmp_path / "orthanc", doorbell=False, overrides=scripts)
    usual = OrthancProcess(settings, tmp_path / "orthanc", doorbell=False)
    running = service_of(settings, tmp_path, tmp_path / "state")
    with mortal, start(running):
        with held_in_the_network(running, study):
            pass
        until(lambda: mortal.exit_status() is not None, "dead")
        with usual:
            assert_answered_once_by_the_living(running, study)


def series_of(running: Running, study: str) -> tuple[str, ...]:
    return running.orthanc.study(str(running.study(study)["orthanc_id"])).series


def test_two_services_on_one_ledger_share_the_work_and_one_may_die(settings: Settings, tmp_path: Path) -> None:
    server = PostgresServer()
    server.start()
    first, second = (
        service_of(settings, tmp_path / name, tmp_path / name / "state", server.url, lease_s=5)
        for name in ("first", "second")
    )
    studies = [str(generate_uid()) for _ in range(5)]
    try:
        with start(first), start(second):
            for service in (first, second):
                service.hold.touch()
            for study in studies:
                for file in head_series(study):
                    first.orthanc.store(file)
            for service in (first, second):
                until(service.hold.with_suffix(".reached").exists, "in the network")
            until(lambda: [second.study(study)["state"] for study in studies].count("running") == 2, "two at work")
            first.end(signal.SIGKILL)
            second.hold.unlink()
            for study in studies:
                assert_answered_once_by_the_living(second, study)
        server.stop()
    finally:
        server.remove()


def test_a_study_whose_end_met_a_stopped_postgresql_is_answered_when_that_is_back(
    settings: Settings, tmp_path: Path, study: str
) -> None:
    server = PostgresServer()
    running = service_of(settings, tmp_path, tmp_path / "state", server.url)

    @contextmanager
    def stop() -> Iterator[None]:
        server.stop()
        yield
        server.start()

    try:
        server.start()
        with start(running):
            end_a_try_while(running, study, stop)
            assert_answered_once_by_the_living(running, study)
        server.stop()
    finally:
        server.remove()


def test_a_study_is_answered_by_the_other_service_when_its_reader_is_cut_off_and_the_late_end_is_refused(
    settings: Settings, tmp_path: Path, study: str
) -> None:
    """A service that stands still longer than its lease (a paused machine) comes back to a job that it has lost."""
    server = PostgresServer()
    server.start()
    first, second = (
        service_of(settings, tmp_path / name, tmp_path / name / "state", server.url, lease_s=5)
        for name in ("first", "second")
    )
    try:
        with start(first):
            first.hold.touch()
            for file in head_series(study):
                first.orthanc.store(file)
            until(first.hold.with_suffix(".reached").exists, "in the network")
            assert first.process is not None
            first.process.send_signal(signal.SIGSTOP)
            with start(second):
                told = second.until_state(study, "done")
                first.hold.unlink()
                first.process.send_signal(signal.SIGCONT)
                until(lambda: "job lost" in [line["event"] for line in first.lines()], "noticed")
                assert second.study(study)["sr_uid"] == told["sr_uid"]
                assert [job["state"] for job in second.study(study)["jobs"]] == ["done"]
        server.stop()
    finally:
        server.remove()
