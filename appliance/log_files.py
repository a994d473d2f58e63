# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps the log files of servers that are started from here small: Orthanc's, Triton's and the service's own.

Each server writes to a file that its starter opened for it, and none of them opens another one, so a file is copied
and emptied in place (what logrotate calls copytruncate): it must be open for appending, and a line that is written in
the moment between the two is lost. Where something else takes a server's output (journald, a container), that keeps it.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import structlog

KEPT: Final = 5
"""How many older files are kept beside each log: `.1`, the newest of them, to `.5`."""
_LOOKED_AT_EVERY_S: Final = 10.0
_MIB: Final = 2**20


def older(log: Path, number: int) -> Path:
    """Return the name of the older file of a log that is the `number`th, from 1."""
    return log.with_name(f"{log.name}.{number}")


def set_aside(log: Path) -> None:
    """Move a log to its first older file, so that a start begins a new one; nothing when there is none."""
    if log.exists():
        _make_room(log)
        log.replace(older(log, 1))


def bound(log: Path, largest: int) -> bool:
    """Empty a log of more than `largest` bytes into its first older file; return whether it was. Raises `OSError`."""
    if log.stat().st_size <= largest:
        return False
    with log.open("r+b") as file:
        copy = log.with_name(f"{log.name}.new")
        try:
            with copy.open("wb") as written:
                shutil.copyfileobj(file, written, _MIB)
            _make_room(log)
            copy.replace(older(log, 1))
        except BaseException:
            copy.unlink(missing_ok=True)
            raise
        file.truncate(0)
    return True


def _make_room(log: Path) -> None:
    """Move each older file of a log one further; the last is lost."""
    for number in range(KEPT - 1, 0, -1):
        if older(log, number).exists():
            older(log, number).replace(older(log, number + 1))


class LogFiles:
    """Looks after log files; `run` is the body of a thread."""

    def __init__(self, files: Iterable[Path], max_mib: float) -> None:
        self._files = tuple(files)
        self._largest = int(max_mib * _MIB)
        self._log = structlog.get_logger("log")

    def run(self, stopping: threading.Event) -> None:
        """Keep the files small until `stopping` is set."""
        failing = ""
        while not stopping.is_set():
            trouble = ""
            for file in self._files:
                try:
                    bound(file, self._largest)
                except FileNotFoundError:  # that server was not started yet
                    continue
                except OSError as error:
                    trouble = f"{file}: {error.strerror}"
            if trouble and trouble != failing:
                self._log.warning("a log file grows without bound", error=trouble)
            failing = trouble
            stopping.wait(_LOOKED_AT_EVERY_S)
