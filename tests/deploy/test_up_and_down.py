# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.local`: what it starts keeps running, what it did not start it leaves alone."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from appliance.inference.regions import SHARED_MEMORY, region_prefix, stem
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local.orthanc import ROOT
from deploy.local.ports import named_ports, with_free_ports
from deploy.local.records import read
from deploy.local.settings_file import write_settings
from deploy.local.supervisor import Control
from tests.appliance.inference.blob_detector import write_repository

Command = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of an appliance of the test's own, with a small model."""
    write_repository(tmp_path / "models")
    triton = TritonSettings(model_repository=tmp_path / "models")
    return with_free_ports(Settings(triton=triton), tmp_path / "state")


@pytest.fixture
def command(settings: Settings, tmp_path: Path) -> Iterator[Command]:
    """Run one command of `deploy.local` on a settings file of the test's own."""
    file = write_settings(settings, tmp_path / "appliance.toml")

    def run(name: str) -> subprocess.CompletedProcess[str]:
        # COLUMNS: tables as wide as the paths in them
        return subprocess.run(
            [sys.executable, "-m", "deploy.local", name, "--settings", str(file)],
            cwd=ROOT,
            env={"COLUMNS": "400", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    yield run
    if read(settings.state_dir):  # a test failed before its own `down`
        run("down")


def test_down_clears_away_what_a_killed_service_left_in_shared_memory(command: Command, settings: Settings) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    left = (
        SHARED_MEMORY / f"{stem()}{ended.pid}-123-0",
        SHARED_MEMORY / f"{region_prefix(settings.triton)}x",
    )
    for region in left:
        region.write_bytes(bytes(1024))
    try:
        assert command("down").returncode == 0
        assert not any(region.exists() for region in left)
    finally:
        for region in left:
            region.unlink(missing_ok=True)


def test_a_taken_port_stops_up_before_anything_is_started(command: Command, settings: Settings) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", settings.triton.grpc_port))
        server.listen()
        refused = command("up")
    assert refused.returncode == 1
    assert f"triton.grpc_port = {settings.triton.grpc_port} is taken" in refused.stderr
    assert not (settings.state_dir / "orthanc").exists()
    assert command("status").returncode == 1


def test_down_without_up_has_nothing_to_do(command: Command) -> None:
    done = command("down")
    assert done.returncode == 0
    assert "nothing was started" in done.stdout


@pytest.mark.end_to_end
def test_up_keeps_the_appliance_running_and_down_stops_just_that(command: Command, settings: Settings) -> None:
    started = command("up")
    assert started.returncode == 0, started.stderr
    known = read(settings.state_dir)
    assert [record.name for record in known] == ["supervisor"]
    servers = Control(settings.state_dir / "supervisor" / "control.sock").programs()
    assert set(servers) == {"orthanc", "triton", "service", "watch"}
    assert all(record.is_running() for record in known)
    assert httpx.get(f"http://127.0.0.1:{settings.service.port}/health/ready", timeout=60).status_code == 200

    again = command("up")
    assert again.returncode == 0
    assert "already running" in again.stdout
    assert read(settings.state_dir) == known
    shown = command("status")
    assert shown.returncode == 0
    assert all(
        str(settings.state_dir / name / f"{name}.log") in shown.stdout for name in ("orthanc", "triton", "service")
    )

    assert command("down").returncode == 0
    assert not any(record.is_running() for record in known)
    assert not any(Path(f"/proc/{server.pid}").exists() for server in servers.values())
    for port in named_ports(settings).values():
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", port)) != 0
    assert command("status").returncode == 1
