# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Tells systemd, if it started this process, that the process is ready and well (sd_notify(3)).

A unit with `Type=notify` counts as started once it says so. A unit with `WatchdogSec=` is restarted when it has not
said for that long that it is well.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

READY: Final = "READY=1"
STOPPING: Final = "STOPPING=1"
_WELL: Final = "WATCHDOG=1"
_SIGNS_A_WATCHDOG: Final = 6


def notify(state: str) -> None:
    """Send a line to systemd, if it listens; if a line is lost, the watchdog decides."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        sender.connect(f"\0{address[1:]}" if address.startswith("@") else address)
        sender.sendall(state.encode())


def watchdog_s() -> float | None:
    """Return how long systemd waits for a sign that this process is well, s; None without a watchdog."""
    waits, of_process = os.environ.get("WATCHDOG_USEC", ""), os.environ.get("WATCHDOG_PID", "")
    if not waits.isdigit() or int(waits) == 0 or (of_process and of_process != str(os.getpid())):
        return None
    return int(waits) / 1e6


def be_watched(fault: Callable[[], str], stopping: threading.Event, told: Callable[[str], None]) -> None:
    """Tell systemd that all is well while `fault` returns nothing, until `stopping`; without a watchdog only wait.

    `told` gets each new fault, for the log: after a while without a sign systemd ends the process.
    """
    waits_s = watchdog_s()
    if waits_s is None:
        stopping.wait()
        return
    known = ""
    while not stopping.is_set():
        now = fault()
        if not now:
            notify(_WELL)
        elif now != known:
            told(now)
        known = now
        stopping.wait(waits_s / _SIGNS_A_WATCHDOG)
