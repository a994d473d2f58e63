# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A server that knows nothing of systemd, kept in a process of its own as its unit keeps it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_KEEPER = """
import subprocess, sys
from pathlib import Path
from deploy.install.keep import Kept

folder = Path(sys.argv[1])
server = []

def start():
    server.append(subprocess.Popen(["sleep", "600"]))
    (folder / "pid").write_text(str(server[0].pid))

def stop():
    server[0].kill()
    server[0].wait()

asked = lambda: (folder / "fault").read_text() if (folder / "fault").exists() else ""
sys.exit(Kept("it", start, stop, lambda: server[0].poll(), asked, 60).keep())
"""
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def kept(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], socket.socket]]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(240)
        environment = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "600000"}
        environment.pop("WATCHDOG_PID", None)
        keeper = subprocess.Popen(
            [sys.executable, "-c", _KEEPER, str(tmp_path)],
            env=environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield keeper, systemd
        finally:
            keeper.kill()
            keeper.wait()
            if (tmp_path / "pid").exists():  # its server has the same standard error
                subprocess.run(["kill", "-9", (tmp_path / "pid").read_text()], check=False, stderr=subprocess.DEVNULL)
            keeper.communicate()


def is_running(tmp_path: Path) -> bool:
    return Path(f"/proc/{(tmp_path / 'pid').read_text()}").exists()


def test_it_is_ready_once_it_answers_and_signs_follow(tmp_path: Path) -> None:
    (tmp_path / "fault").write_text("not yet")
    with kept(tmp_path) as (keeper, systemd):
        while not (tmp_path / "pid").exists():
            assert keeper.poll() is None
            time.sleep(0.01)
        (tmp_path / "fault").unlink()
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1"


def test_a_server_that_ends_takes_its_keeper_with_it(tmp_path: Path) -> None:
    with kept(tmp_path) as (keeper, systemd):
        assert systemd.recv(100) == b"READY=1"
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)
        assert keeper.wait(240) == 1
        assert keeper.stderr is not None
        assert "ended with status -9" in keeper.stderr.read()


def test_a_server_that_answers_no_more_gets_no_sign_and_the_log_says_why(tmp_path: Path) -> None:
    with kept(tmp_path) as (keeper, systemd):
        assert systemd.recv(100) == b"READY=1"
        (tmp_path / "fault").write_text("it hangs")
        assert keeper.stderr is not None
        assert "it hangs" in keeper.stderr.readline()
        systemd.setblocking(False)
        try:
            while systemd.recv(100):
                pass  # signs from before
        except BlockingIOError:
            pass
        systemd.settimeout(2)
        try:
            said = systemd.recv(100)
        except TimeoutError:
            said = b""
        assert said == b""


def test_sigterm_ends_the_server_in_order(tmp_path: Path) -> None:
    with kept(tmp_path) as (keeper, systemd):
        assert systemd.recv(100) == b"READY=1"
        keeper.terminate()
        assert keeper.wait(240) == 0
        assert not is_running(tmp_path)
