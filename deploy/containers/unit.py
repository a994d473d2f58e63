# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python3 -I unit.py [options] -- COMMAND`: the first process of a container, which stands in for systemd.

It runs the command that a systemd unit runs on bare metal, and ends when that ends, when the command has given no sign
for a while, or when the container has lost its network; then the container's restart policy or Kubernetes starts the
container again. Docker restarts what has ended, never what hangs. A sign is systemd's own (`--signs`: the command
sends WATCHDOG=1 to $NOTIFY_SOCKET) or an answer at a URL (`--ask`).

With `--again` it starts the command again itself, after a pause, and the container goes on. A Kubernetes pod is ready
only while all its containers run: a server for which another one stands in must not take the pod from its users. If the
command has not been well for an hour, the container ends after all: some faults, as of devices that it no longer
reaches, only a new container mends.

Compose files give several containers the network of one of them. If that one is started anew, the others keep a network
without a way out, which nothing else notices.

`--probe URL` is the health check of each container: it ends with 1 and the reason unless the URL answers.

The standard library alone, for the system's Python in each of the images.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

_LOOKED_AT_EVERY_S = 0.5
_ASKED_A_PATIENCE = 12
_LONGEST_SIGN = 4096
_ANSWER_S = 5.0
_SERVER_ERROR = 500
STARTING_S = 600.0
"""Longest wait for the first sign, s: a GPU's engine is built meanwhile."""
PATIENCE_S = 60.0
"""Longest time without a sign afterwards, s."""
NETWORK_S = 10.0
"""How long a lost network may stay lost, s: the container that holds it has to be back before others start again."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 300.0
"""The pause before the command is started again, s; doubled each time it was not well in between."""
AGAIN_FOR_S = 3600.0
"""How long it is started again without once being well, s."""
STOPPING_S = 40.0
"""How long the command may take to end after SIGTERM, s: longer than `service.stop_s` (30), for the study in progress,
and a little shorter than Compose and Kubernetes wait."""


class Unit:
    """One command that is kept as systemd would keep it.

    Parameters
    ----------
    command
        The program and its arguments.
    signs
        Whether it sends systemd's signs.
    ask
        A URL that answers while it is well; empty for none.
    starting_s, patience_s
        Longest wait for the first sign and between two signs, s.
    after
        A file that has to be there first; None for none.
    again
        Whether it is started again when it has ended or had to be ended.
    """

    def __init__(
        self,
        command: list[str],
        signs: bool,
        ask: str,
        starting_s: float,
        patience_s: float,
        after: Path | None,
        again: bool,
    ) -> None:
        self._command = command
        self._signs = signs
        self._ask = ask
        self._starting_s = starting_s
        self._patience_s = patience_s
        self._after = after
        self._again = again
        self._lost_s = 0.0
        self._stopping = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._last_sign = time.monotonic()
        self._started = False
        self._fault = ""

    def run(self) -> int:
        """Run the command until the container has to end; return the exit status of the container."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        while self._after is not None and not self._after.exists():
            if self._stopping.wait(_LOOKED_AT_EVERY_S):
                return 0
        had_network = has_network()
        well_at, pause_s = time.monotonic(), FIRST_PAUSE_S
        while True:
            status = self._run_once(had_network)
            if self._started:
                well_at, pause_s = self._last_sign, FIRST_PAUSE_S
            is_lost = self._lost_s >= NETWORK_S
            if not self._again or self._stopping.is_set() or is_lost or time.monotonic() - well_at > AGAIN_FOR_S:
                return status
            if self._stopping.wait(pause_s):
                return 0
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def _run_once(self, had_network: bool) -> int:
        """Run the command until it ends or must be ended; return 0 if that was asked for, else 1."""
        self._started, self._last_sign = False, time.monotonic()
        with tempfile.TemporaryDirectory(dir="/tmp") as folder, self._listen(folder) as environment:
            self._process = subprocess.Popen(self._command, env=environment, start_new_session=True)
            if self._ask:
                threading.Thread(target=self._keep_asking, args=(self._process,), daemon=True).start()
            while not self._stopping.wait(_LOOKED_AT_EVERY_S):
                status = self._process.poll()
                reap(self._process.pid)
                if status is not None:
                    return self._end(f"ended with status {status}", 1)
                self._lost_s = self._lost_s + _LOOKED_AT_EVERY_S if had_network and not has_network() else 0.0
                if self._lost_s >= NETWORK_S:
                    return self._end("the container has lost its network", 1)
                if silence := self._silence():
                    return self._end(silence, 1)
            return self._end("", 0)

    def _silence(self) -> str:
        """Return since when there was no sign, if that is too long."""
        if not (self._signs or self._ask):
            return ""
        quiet_s = time.monotonic() - self._last_sign
        if quiet_s <= (self._patience_s if self._started else self._starting_s):
            return ""
        return f"no sign for {quiet_s:.0f} s {self._fault}".strip()

    def _note_sign(self) -> None:
        self._last_sign = time.monotonic()
        self._started = True

    def _keep_asking(self, process: subprocess.Popen[bytes]) -> None:
        while not self._stopping.is_set() and process is self._process:
            self._fault = find_fault(self._ask)
            if not self._fault:
                self._note_sign()
            self._stopping.wait(self._patience_s / _ASKED_A_PATIENCE if self._started else _LOOKED_AT_EVERY_S)

    @contextlib.contextmanager
    def _listen(self, folder: str) -> Iterator[dict[str, str]]:
        """Yield the command's environment, with a socket for its signs, and note them meanwhile."""
        environment = dict(os.environ)
        if not self._signs:
            yield environment
            return
        address = f"{folder}/notify"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as listener:
            listener.bind(address)
            threading.Thread(target=self._take_signs, args=(listener,), daemon=True).start()
            yield environment | {
                "NOTIFY_SOCKET": address,
                "WATCHDOG_USEC": str(int(self._patience_s * 1e6)),
            }
            listener.shutdown(socket.SHUT_RDWR)  # closing alone would not end the thread

    def _take_signs(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while sign := listener.recv(_LONGEST_SIGN):
                lines = sign.decode(errors="replace").splitlines()
                if "READY=1" in lines or "WATCHDOG=1" in lines:
                    self._note_sign()

    def _end(self, reason: str, status: int) -> int:
        """End the command and all that it started, and return `status`."""
        if reason:
            print(f"{Path(self._command[0]).name}: {reason}", file=sys.stderr, flush=True)
        process = self._process
        assert process is not None
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOPPING_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return status


def has_network() -> bool:
    """Return whether there is a network interface besides loopback."""
    return any(name != "lo" for _, name in socket.if_nameindex())


def reap(besides: int) -> None:
    """Collect orphans that have ended, which come to the first process of a container; `besides` is its own command."""
    if os.getpid() != 1:
        return
    with contextlib.suppress(OSError):
        for child in map(int, Path("/proc/1/task/1/children").read_text().split()):
            state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
            if state == "Z" and child != besides:
                os.waitpid(child, os.WNOHANG)


def find_fault(url: str) -> str:
    """Return why nobody answers well at a URL, empty if somebody does; a request for a password is an answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=_ANSWER_S):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code < _SERVER_ERROR else f"{url} answers {error.code}"
    except (OSError, http.client.HTTPException) as error:
        return f"{url} does not answer ({type(error).__name__})"


def main() -> int:
    """Read the options and run the unit."""
    parser = argparse.ArgumentParser(description="Keep one command as systemd would.")
    parser.add_argument("--signs", action="store_true", help="the command sends systemd's signs")
    parser.add_argument("--ask", default="", help="URL that answers while the command is well")
    parser.add_argument("--starting-s", type=float, default=STARTING_S, help="longest wait for the first sign, s")
    parser.add_argument("--patience-s", type=float, default=PATIENCE_S, help="longest time without a sign, s")
    parser.add_argument("--probe", default="", help="only ask this URL once")
    parser.add_argument("--after", type=Path, help="wait for this file before the command starts")
    parser.add_argument("--again", action="store_true", help="start the command again instead of ending")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    if given.probe:
        fault = find_fault(given.probe)
        print(fault or "well")
        return int(bool(fault))
    if not given.command:
        parser.error("a command is needed")
    unit = Unit(given.command, given.signs, given.ask, given.starting_s, given.patience_s, given.after, given.again)
    return unit.run()


if __name__ == "__main__":
    sys.exit(main())
