# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the service removes from the memory that it shares with Triton."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance import reading_room
from appliance.inference.regions import MODEL_PROCESS, SHARED_MEMORY, region_prefix
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from deploy.local.ports import with_free_ports


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return with_free_ports(Settings(), tmp_path)


@pytest.fixture
def region(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A region of Triton that no process here maps, old enough to be looked at."""
    monkeypatch.setattr(reading_room, "SETTLED_S", 0.0)
    path = SHARED_MEMORY / f"{region_prefix(settings.triton)}stale"
    path.write_bytes(bytes(10))
    yield path
    path.unlink(missing_ok=True)


def test_regions_of_a_triton_whose_processes_are_not_seen_are_left(settings: Settings, region: Path) -> None:
    ReadingRoom(settings).tidy()
    assert region.exists()


def test_a_region_that_no_process_of_a_triton_uses_is_removed(settings: Settings, region: Path, tmp_path: Path) -> None:
    # The command line of a model process: stub, model file, region, sizes, the server's process id. A pipe keeps it.
    os.mkfifo(tmp_path / "model.py")
    arguments = [MODEL_PROCESS, "model.py", f"{region_prefix(settings.triton)}used", "1", "1", str(os.getpid())]
    with subprocess.Popen(arguments, executable="/bin/cat", cwd=tmp_path) as process:
        ReadingRoom(settings).tidy()
        process.kill()
    assert not region.exists()
