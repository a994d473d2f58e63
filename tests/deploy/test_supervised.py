# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What dies or hangs under `make up` comes back by itself: a real supervisor, Orthanc, Triton and service."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from appliance.inference.regions import model_processes, region_prefix
from appliance.sections.supervisor import LogSettings, SupervisorSettings
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.local.answering import not_ready, questions
from deploy.local.orthanc import ROOT
from deploy.local.ports import with_free_ports
from deploy.local.records import read
from deploy.local.settings_file import write_settings
from deploy.local.storescu import send
from deploy.local.supervisor import Control
from deploy.local.watch import Seen, read_seen
from simulator.diagnosis import Diagnosis
from simulator.population import CLEAR
from simulator.study import StudySpec
from tests.appliance.inference.blob_detector import write_repository
from tests.end_to_end.patient import Patient
from tests.orthanc_plugin.small_ct import small_series

pytestmark = pytest.mark.end_to_end
LONGEST_S = 240


class Supervised:
    """An appliance that `up` has started, and what a test does to it."""

    def __init__(self, folder: Path) -> None:
        write_repository(folder / "models")
        settings = with_free_ports(
            Settings(
                triton=TritonSettings(model_repository=folder / "models"),
                supervisor=SupervisorSettings(patience_s=10, starting_s=120, user=""),
                log=LogSettings(max_mib=0.01),
            ),
            folder / "state",
        )
        self.file = write_settings(settings, folder / "appliance.toml")
        self.state = settings.state_dir
        self.run("up")
        self.settings = load_settings(settings.state_dir / "service" / "appliance.toml")
        self.control = Control(self.state / "supervisor" / "control.sock")

    def run(self, name: str) -> subprocess.CompletedProcess[str]:
        call = [sys.executable, "-m", "deploy.local", name, "--settings", str(self.file)]
        return subprocess.run(
            call,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "400"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def pid(self, server: str) -> int:
        return self.control.programs()[server].pid

    def wait_for(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + LONGEST_S
        while not what():
            assert time.monotonic() < end, (self.state / "supervisor" / "watch.log").read_text()[-3000:]
            time.sleep(0.2)

    def is_well(self) -> bool:
        return not any(ask() for ask in questions(self.settings).values()) and not not_ready(self.settings)

    def tritonserver(self) -> int:
        """The process id of Triton itself, below its keeper."""
        keeper = self.pid("triton")
        (child,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        return int(child)

    def states(self) -> list[str]:
        """Where the studies stand."""
        url = f"http://127.0.0.1:{self.settings.service.port}/status"
        return [study["state"] for study in httpx.get(url, timeout=30).json()["studies"]]

    def seen(self, server: str) -> Seen:
        return read_seen(self.state / "supervisor" / "servers.json")[server]

    def log_of_the_watch(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.state / "supervisor" / "watch.log").read_text().splitlines()]


@pytest.fixture(scope="module")
def supervised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Supervised]:
    one = Supervised(tmp_path_factory.mktemp("up"))
    yield one
    one.run("down")


@pytest.mark.parametrize("server", ["orthanc", "triton", "service"])
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hangs"])
def test_a_server_that_is_killed_or_hangs_is_started_again(
    supervised: Supervised, server: str, blow: signal.Signals
) -> None:
    supervised.wait_for(supervised.is_well)
    supervised.wait_for(lambda: supervised.seen(server).answers)
    before, restarts = (
        supervised.pid(server),
        supervised.seen(server).restarts,
    )
    os.kill(supervised.tritonserver() if server == "triton" else before, blow)
    supervised.wait_for(lambda: supervised.pid(server) not in (0, before))
    supervised.wait_for(supervised.is_well)
    supervised.wait_for(lambda: supervised.seen(server).restarts == restarts + 1)
    seen = supervised.seen(server)
    assert ("did not answer" in seen.why) is (blow is signal.SIGSTOP)
    events = [line for line in supervised.log_of_the_watch() if line.get("server") == server]
    assert any(line["event"] == "server was started again" for line in events)
    shown = supervised.run("status")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert f"{seen.restarts} times, last {seen.last_restart}" in shown.stdout


def test_a_study_that_meets_a_hanging_model_process_is_answered(supervised: Supervised, tmp_path: Path) -> None:
    supervised.wait_for(supervised.is_well)
    spec = StudySpec(7002, Diagnosis.NONE, slices=20, spacing_mm=8.0, population=CLEAR.name)
    study = Patient(spec).study(tmp_path / "study")
    processes = list(model_processes(region_prefix(supervised.settings.triton)))
    assert processes
    for pid, _ in processes:
        os.kill(pid, signal.SIGSTOP)
    send(sorted(study.folder.rglob("*.dcm")), supervised.settings.orthanc)
    supervised.wait_for(lambda: supervised.states() == ["done"])


def test_a_triton_whose_keeper_is_killed_ends_and_is_started_again(supervised: Supervised) -> None:
    supervised.wait_for(supervised.is_well)
    keeper, server = supervised.pid("triton"), supervised.tritonserver()
    os.kill(server, signal.SIGSTOP)  # the signal of its keeper's death reaches it all the same
    os.kill(keeper, signal.SIGKILL)
    supervised.wait_for(lambda: supervised.pid("triton") not in (0, keeper))
    supervised.wait_for(supervised.is_well)
    assert supervised.tritonserver() != server


def test_a_watch_that_is_killed_is_started_again(supervised: Supervised) -> None:
    before = supervised.pid("watch")
    os.kill(before, signal.SIGKILL)
    supervised.wait_for(lambda: supervised.pid("watch") not in (0, before))


def test_the_supervisor_keeps_all_logs_small(supervised: Supervised) -> None:
    supervised.wait_for(supervised.is_well)
    log = supervised.state / "service" / "service.log"

    def has_rotated() -> bool:
        os.kill(supervised.pid("service"), signal.SIGTERM)
        supervised.wait_for(supervised.is_well)
        return log.with_name("service.log.1").exists()

    supervised.wait_for(has_rotated)
    assert log.stat().st_size <= 0.01 * 2**20
    configured = (supervised.state / "supervisor" / "supervisord.conf").read_text()
    assert len(re.findall(r"stdout_logfile_maxbytes=10485\n", configured)) == 4


def test_up_after_the_supervisor_was_killed_starts_all_again_and_loses_no_study(
    supervised: Supervised, tmp_path: Path
) -> None:
    supervised.wait_for(supervised.is_well)
    send(small_series(tmp_path / "series", 2), supervised.settings.orthanc)
    (record,) = read(supervised.state)
    old = {name: supervised.pid(name) for name in ("orthanc", "triton", "service", "watch")}
    os.kill(record.pid, signal.SIGKILL)
    assert supervised.run("status").returncode == 1
    again = supervised.run("up")
    assert again.returncode == 0, again.stderr
    assert not any(Path(f"/proc/{pid}/task").exists() and supervised.pid(name) == pid for name, pid in old.items())
    orthanc = load_settings(supervised.state / "service" / "appliance.toml").orthanc
    held = httpx.get(f"{orthanc.url}/studies", auth=(orthanc.username, orthanc.password), timeout=60).json()
    assert held
