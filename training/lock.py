# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A pid file that is locked as long as its process lives, so that a run is never started twice.

The lock counts, not the number: the system releases it however the process ends, and a number that now belongs to
another process is never taken for the run's.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

_PROBED_S: Final = 1.0
"""`holder` has the lock for a moment to learn that nobody has: whoever wants to hold it outlasts that."""


class AlreadyRunningError(ValueError):
    """Another process holds the lock; the message has its number."""


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock of a pid file, which is created if necessary, inside the block.

    Raises
    ------
    AlreadyRunningError
        If another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        end = time.monotonic() + _PROBED_S
        while not _take(file, fcntl.LOCK_EX):
            if time.monotonic() > end:
                raise AlreadyRunningError(f"{path.parent} is already run by process {_number(path)}")
            time.sleep(0.01)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield
        file.truncate(0)


def holder(path: Path) -> int | None:
    """Return the number of the process that holds the lock of a pid file, None if none does."""
    if not path.exists():
        return None
    with path.open() as file:
        return None if _take(file, fcntl.LOCK_SH) else _number(path)


def _take(file: IO[str], kind: int) -> bool:
    """Take a lock of a kind, or return that another has one."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(path: Path) -> int | None:
    """Return the number in a pid file, None where it is just being written."""
    said = path.read_text().strip()
    return int(said) if said.isdigit() else None
