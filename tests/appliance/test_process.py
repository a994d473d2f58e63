# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Starting, waiting for and stopping one process, with real small processes."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.errors import UnavailableError
from appliance.process import Process

LONG = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(300)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)",
]


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    one = Process("the test server", tmp_path / "log" / "server.log", die_with_parent=True)
    yield one
    one.kill()


def is_up(process: Process) -> bool:
    return "up" in process.log.read_text()


def test_a_process_is_waited_for_and_stopped_by_its_id(process: Process, tmp_path: Path) -> None:
    process.launch(LONG, os.environ, tmp_path)
    process.wait_until(lambda: is_up(process), 240)
    pid = process.pid
    assert pid is not None
    process.stop()
    assert process.pid is None
    assert not Path(f"/proc/{pid}").exists()


def test_one_that_does_not_end_when_asked_is_made_to(process: Process, tmp_path: Path) -> None:
    process.launch(STUBBORN, os.environ, tmp_path)
    process.wait_until(lambda: is_up(process), 240)
    process.stop(patience_s=0.1)
    assert process.pid is None


def test_one_that_ends_early_is_an_error_with_the_place_and_the_end_of_its_log(
    process: Process, tmp_path: Path
) -> None:
    process.launch([sys.executable, "-c", "print('no licence'); raise SystemExit(3)"], os.environ, tmp_path)
    with pytest.raises(UnavailableError) as ended:
        process.wait_until(lambda: False, 240)
    for part in ("the test server ended with status 3", str(process.log), "no licence"):
        assert part in str(ended.value)


def test_one_that_is_never_ready_is_an_error_too(process: Process, tmp_path: Path) -> None:
    process.launch(LONG, os.environ, tmp_path)
    with pytest.raises(UnavailableError, match="is not ready after 0 s"):
        process.wait_until(lambda: False, 0)


def test_the_log_of_the_start_before_is_kept(process: Process, tmp_path: Path) -> None:
    for word in ("first", "second"):
        process.launch([sys.executable, "-c", f"print('{word}')"], os.environ, tmp_path)
        process.stop()
    assert process.log.with_name("server.log.1").exists()


def test_a_process_ends_with_its_starter_however_that_ends(tmp_path: Path) -> None:
    starter = (
        "import os, pathlib, sys\n"
        "from appliance.process import Process\n"
        f"process = Process('x', pathlib.Path({str(tmp_path / 'x.log')!r}), die_with_parent=True)\n"
        f"process.launch({LONG!r}, os.environ, pathlib.Path({str(tmp_path)!r}))\n"
        "process.wait_until(lambda: 'up' in process.log.read_text(), 240)\n"
        "print(process.pid, flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == -9, done.stderr
    held = os.pidfd_open(int(done.stdout)) if Path(f"/proc/{int(done.stdout)}").exists() else None
    if held is not None:  # it has been told to end and may take a moment
        assert select.select([held], [], [], 240)[0]
        os.close(held)
