# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A Triton that hangs while another one answers in its place is started again, and its container goes on.

Real Tritons, the first of them kept as in the pod of a GPU. There is no GPU here: what stands for a card that hangs is
a model that does not come back from a request. The server says that it is ready all the while.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.inference.one_chunk import find_chunk_fault
from appliance.inference.server import TritonServer
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from deploy.local.ports import free_ports
from deploy.local.settings_file import write_settings
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings
from tests.json_server import json_server

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 15
LONGEST_S = 600.0


def until(condition: Callable[[], object]) -> bool:
    end = time.monotonic() + LONGEST_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.1)
    return bool(condition())


@pytest.fixture
def hangs(tmp_path: Path) -> Path:
    """While this file is there, the first Triton hangs; a new start of its model removes it."""
    return tmp_path / "hangs"


@pytest.fixture
def settings(hangs: Path, tmp_path: Path) -> Iterator[Settings]:
    """Settings of a first Triton that is not started yet, with another one that runs."""
    write_repository(tmp_path / "others")
    other = triton_settings(tmp_path / "others")
    write_repository(tmp_path / "models", hangs=hangs)
    first = triton_settings(tmp_path / "models", others=(f"127.0.0.1:{other.grpc_port}",))
    settings = Settings(triton=first, state_dir=tmp_path / "state")
    settings = settings.model_copy(update={"service": settings.service.model_copy(update={"port": free_ports(1)[0]})})
    with TritonServer(other, tmp_path / "other"):
        yield settings


@pytest.fixture
def room(settings: Settings) -> Iterator[ReadingRoom]:
    """The service's reading room, and at the service's address what it says of it."""
    room = ReadingRoom(settings)
    with json_server(lambda: {"ready": True, "reasons": {}, "model": room.model()}, settings.service.port):
        yield room
    room.close()


@pytest.fixture
def kept(settings: Settings, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The first process of a container that keeps the first Triton."""
    file = write_settings(settings, tmp_path / "appliance.toml")
    unit = [sys.executable, "-I", str(ROOT / "deploy/containers/unit.py")]
    keeper = [sys.executable, "-m", "deploy.install.keep_triton"]
    with subprocess.Popen(
        [*unit, "--again", "--signs", "--patience-s", str(PATIENCE_S), "--", *keeper],
        cwd=ROOT,
        env={**os.environ, "APPLIANCE_SETTINGS": str(file)},
    ) as process:
        yield process
        process.terminate()


def answers(settings: Settings) -> bool:
    return not find_chunk_fault(settings.triton, wait_s=5)


def test_a_triton_that_hangs_while_another_one_stands_in_is_started_again_and_its_container_goes_on(
    settings: Settings, room: ReadingRoom, kept: subprocess.Popen[bytes], hangs: Path
) -> None:
    assert until(lambda: answers(settings))
    hangs.touch()
    room.probe()
    model = room.model()
    assert model is not None
    assert "no answer in time" in model["stands_in"]
    assert until(lambda: answers(settings))
    assert kept.poll() is None
