# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One server process: started with its log in a file, waited for until it answers, stopped by its process id.

`Process` knows nothing of the program it runs; `Server` is what Orthanc, Triton and the service have in common when
they are started from here.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from appliance.errors import UnavailableError
from appliance.log_files import set_aside
from appliance.private import UMASK

_TAIL_LINES = 15


class EndedError(UnavailableError):
    """A server ended before it answered; `status` is its exit status, below 0 the signal that ended it."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Process:
    """A server of our own.

    Parameters
    ----------
    name
        What people call it.
    log
        File for its output; the logs of earlier starts are kept, the newest with `.1` after its name.
    die_with_parent
        End it when this process ends, however that ends. Works for starts from the main thread (Linux counts the
        starting thread as the parent).
    last_signal
        The signal that ends it then; a process that is stopped obeys SIGKILL alone.
    keeps_log
        Whether this process writes the log. A supervisor writes the logs of its own programs: then the started program
        writes where this process does.
    """

    def __init__(
        self,
        name: str,
        log: Path,
        *,
        die_with_parent: bool,
        last_signal: signal.Signals = signal.SIGTERM,
        keeps_log: bool = True,
    ) -> None:
        self.name = name
        self.log = log
        self._die_with_parent = die_with_parent
        self._last_signal = last_signal
        self._keeps_log = keeps_log
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def launch(self, command: Sequence[str | Path], environment: Mapping[str, str], folder: Path) -> None:
        """Start `command` in `folder`, without waiting until it answers."""
        if self.pid is not None:
            raise RuntimeError(f"{self.name} runs already (process {self.pid})")
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # setpriv sets the death signal and becomes the command, with the same process id.
        setpriv = shutil.which("setpriv")
        tied = self._die_with_parent and setpriv and threading.current_thread() is threading.main_thread()
        prefix = [setpriv, "--pdeathsig", self._last_signal.name.removeprefix("SIG"), "--"] if tied and setpriv else []
        with self._output() as log:
            # In a session of its own, so that Ctrl-C reaches only the starter, which then stops its servers in order.
            self._process = subprocess.Popen(
                [*prefix, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                cwd=folder,
                start_new_session=True,
                umask=UMASK,
            )

    @contextmanager
    def _output(self) -> Iterator[IO[bytes] | None]:
        """Move the old log aside and open a new one; None, which means this process's output, if it keeps no log."""
        if not self._keeps_log:
            yield None
            return
        set_aside(self.log)
        with os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600), "ab") as log:
            yield log

    def wait_until(self, answers: Callable[[], bool], timeout_s: float) -> None:
        """Return once `answers()`.

        Raises `EndedError`, or `UnavailableError` when it takes too long, both with the end of its log.
        """
        end = time.monotonic() + timeout_s
        while not answers():
            status = 0 if self._process is None else self._process.poll()
            if status is not None:
                raise EndedError(
                    f"{self.name} ended with status {status}; its log is {self.log}\n{self.tail()}", status
                )
            if time.monotonic() > end:
                raise UnavailableError(
                    f"{self.name} is not ready after {timeout_s:.0f} s; its log is {self.log}\n{self.tail()}"
                )
            time.sleep(0.05)

    def exit_status(self) -> int | None:
        """Return its exit status, below 0 the signal that ended it; None while it runs or was not started."""
        return None if self._process is None else self._process.poll()

    def stop(self, patience_s: float = 20) -> None:
        """End it, if it runs: SIGTERM, and SIGKILL when it has not ended after `patience_s`."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(patience_s)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """Kill it and its children at once, as a power cut would."""
        if self._process is None:
            return
        if self._process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def tail(self) -> str:
        """Return the last lines of its log, for an error."""
        return last_lines(self.log)


def last_lines(log: Path) -> str:
    """Return the last lines of a log, for an error; without the tables that Triton draws."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return ""
    telling = [line for line in lines if line.strip() and line[0] not in "+|"]
    return "\n".join(f"  | {line}" for line in telling[-_TAIL_LINES:])


class Started(ABC):
    """What runs between `start` and `stop`, or as long as a `with` lasts."""

    @abstractmethod
    def start(self) -> None:
        """Start it and return when it answers."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it in order; its data stays."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Server(Started):
    """A server of our own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    @property
    def log(self) -> Path:
        """Where it writes its log; the logs of earlier starts have `.1`, `.2` and so on after the name."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid

    def exit_status(self) -> int | None:
        """Return its exit status, below 0 the signal that ended it; None while it runs or was not started."""
        return self._process.exit_status()

    def stop(self) -> None:
        """Stop it in order; its data stays."""
        self._process.stop()

    def kill(self) -> None:
        """Kill it at once, as a power cut would."""
        self._process.kill()
