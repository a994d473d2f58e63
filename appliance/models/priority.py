# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which model processes get the processor only when nothing else wants it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def give_way_on_the_processor(processes: list[int]) -> None:
    """Let all threads of these processes run only when nothing else wants the processor.

    Only root can undo this, so a version that is promoted gets a new process (`life`).
    """
    for process in processes:
        with suppress(OSError):  # it ended, or is another user's
            for thread in Path(f"/proc/{process}/task").iterdir():
                os.sched_setscheduler(int(thread.name), os.SCHED_IDLE, os.sched_param(0))


def gives_way(processes: list[int]) -> bool:
    """Return whether one of these processes runs only when nothing else wants the processor."""
    for process in processes:
        with suppress(OSError):
            if os.sched_getscheduler(process) == os.SCHED_IDLE:
                return True
    return False
