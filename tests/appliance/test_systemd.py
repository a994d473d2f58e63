# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What systemd is told, on a socket as systemd opens it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.systemd import READY, be_watched, notify, watchdog_s


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket that systemd would listen on."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        yield listener


def test_systemd_hears_that_a_process_is_ready(heard: socket.socket) -> None:
    notify(READY)
    assert heard.recv(100) == b"READY=1"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"hemorrhage-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        notify(READY)
        assert listener.recv(100) == b"READY=1"


def test_nothing_is_said_where_systemd_does_not_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notify(READY)
    monkeypatch.setenv("NOTIFY_SOCKET", "/nonexistent/notify")
    notify(READY)


@pytest.mark.parametrize(
    ("usec", "pid", "waits_s"),
    [
        ("60000000", "", 60),
        ("60000000", "own", 60),
        ("60000000", "1", None),
        ("0", "", None),
        ("", "", None),
        ("x", "", None),
    ],
)
def test_a_watchdog_counts_for_the_process_that_it_names(
    usec: str, pid: str, waits_s: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if pid == "own" else pid)
    assert watchdog_s() == waits_s


def test_signs_come_while_all_is_well_and_stop_with_a_fault_that_is_told_once(
    heard: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "60000")
    stopping, told = threading.Event(), []
    answers = iter(["", "", "it hangs", "it hangs", "it hangs"])

    def fault() -> str:
        answer = next(answers, None)
        if answer is None:
            stopping.set()
            return "it hangs"
        return answer

    be_watched(fault, stopping, told.append)
    assert told == ["it hangs"]
    heard.setblocking(False)
    signs = []
    while True:
        try:
            signs.append(heard.recv(100))
        except BlockingIOError:
            break
    assert signs == [b"WATCHDOG=1", b"WATCHDOG=1"]


def test_without_a_watchdog_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WATCHDOG_USEC", raising=False)
    stopping = threading.Event()
    stopping.set()
    be_watched(lambda: pytest.fail("asked"), stopping, lambda _: None)
