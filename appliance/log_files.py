# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The older files of a log: a start begins a new one, and five are kept beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

KEPT: Final = 5
"""How many older files are kept beside each log: `.1`, the newest of them, to `.5`."""


def older(log: Path, number: int) -> Path:
    """Return the name of the `number`th older file of a log, from 1."""
    return log.with_name(f"{log.name}.{number}")


def set_aside(log: Path) -> None:
    """Move a log, if there is one, to its first older file, so that a start begins a new one."""
    if not log.exists():
        return
    for number in range(KEPT - 1, 0, -1):  # the last is lost
        if older(log, number).exists():
            older(log, number).replace(older(log, number + 1))
    log.replace(older(log, 1))
