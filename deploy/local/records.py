# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What `up` started (the supervisor), kept in a file, so that `down` ends that process and no other.

The system reuses process IDs, so a record also has the boot and the time at which the process started, and a process is
ended only if all three agree.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from appliance.errors import ApplianceError

_PROC = Path("/proc")


@dataclass(frozen=True)
class Record:
    """One started server."""

    name: str
    pid: int
    started: int
    """The process's start, in clock ticks since the boot (field 22 of /proc/PID/stat)."""
    boot: str
    """The identifier of the boot it was started in."""
    address: str
    """Where people and programs reach it."""
    log: str
    """The file with its log."""

    def is_running(self) -> bool:
        """Return whether this very process still runs."""
        return self.boot == _boot() and _start_of(self.pid) == self.started


def record_of(name: str, pid: int, address: str, log: Path) -> Record:
    """Return the record of the running process `pid`. Raises `ApplianceError` when there is none."""
    started = _start_of(pid)
    if started is None:
        raise ApplianceError(f"{name} (process {pid}) has ended; its log is {log}")
    return Record(name, pid, started, _boot(), address, str(log))


def write(records: list[Record], folder: Path) -> None:
    """Keep `records`, in the order in which they were started, in `folder`."""
    file = _file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps([asdict(record) for record in records], indent=2) + "\n")
    temporary.replace(file)


def read(folder: Path) -> list[Record]:
    """Return the records kept in `folder`, none when nothing was started. Raises `ApplianceError` for other content."""
    file = _file(folder)
    try:
        return [Record(**entry) for entry in json.loads(file.read_text())]
    except FileNotFoundError:
        return []
    except (ValueError, TypeError) as error:
        raise ApplianceError(f"{file} is not a list of started processes ({error}); remove it") from error


def forget(folder: Path) -> None:
    """Remove the records of `folder`."""
    _file(folder).unlink(missing_ok=True)


def end(record: Record, patience_s: float = 20) -> bool:
    """End the process: SIGTERM, and SIGKILL after `patience_s`. Return False when it had ended before.

    A file descriptor holds the process, so that no other one can take its number between the check and the signal.
    """
    try:
        held = os.pidfd_open(record.pid)
    except ProcessLookupError:
        return False
    try:
        if not record.is_running():
            return False
        for number, wait_s in ((signal.SIGTERM, patience_s), (signal.SIGKILL, 5.0)):
            signal.pidfd_send_signal(held, number)
            deadline = time.monotonic() + wait_s
            while record.is_running() and time.monotonic() < deadline:
                time.sleep(0.05)
            if not record.is_running():
                return True
    except ProcessLookupError:  # it ended by itself in between
        return True
    finally:
        os.close(held)
    raise ApplianceError(f"{record.name} (process {record.pid}) does not end, not even by SIGKILL")


def _file(folder: Path) -> Path:
    return folder / "processes.json"


def _boot() -> str:
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def _start_of(pid: int) -> int | None:
    """Return when process `pid` started, None when it has ended (a zombie has)."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before it may contain anything
    state, started = fields[0], int(fields[19])
    return None if state in "ZX" else started
