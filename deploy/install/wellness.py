# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the appliance on this machine is well: it would answer a study now, and the doctor finds no faults."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass
from typing import Final

from appliance.settings import Settings
from deploy.install.layout import UNITS, Layout
from deploy.install.units import systemctl
from deploy.local.answering import not_ready

_LOOKED_AT_EVERY_S: Final = 0.5
_DOCTOR_S: Final = 300


@dataclass(frozen=True)
class Wellness:
    """Why the appliance is not well (empty if it is), and what its doctor said (empty if it was not called)."""

    fault: str
    report: str = ""


def await_well(layout: Layout, settings: Settings, patience_s: float) -> Wellness:
    """Return the appliance's state as soon as it is well, and after `patience_s` at the latest."""
    end = time.monotonic() + patience_s
    while True:
        seen = Wellness(_fault(settings))
        if not seen.fault:
            seen = ask_doctor(layout)
        if not seen.fault:
            return seen
        if time.monotonic() > end:
            return seen if seen.report else Wellness(seen.fault, ask_doctor(layout).report)
        time.sleep(_LOOKED_AT_EVERY_S)


def _fault(settings: Settings) -> str:
    for unit in UNITS:
        state = systemctl("is-active", unit, check=False)
        if state != "active":
            return f"{unit} is {state or 'not there'}"
    return not_ready(settings)


def ask_doctor(layout: Layout) -> Wellness:
    """Return what `appliance doctor` of the running version says, run as the appliance's own user."""
    try:
        done = subprocess.run(
            [str(layout.command), "doctor"],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": os.environ.get("PATH", os.defpath), "COLUMNS": "120", "LC_ALL": "C.UTF-8"},
            timeout=_DOCTOR_S,
        )
    except subprocess.TimeoutExpired:
        return Wellness(f"`appliance doctor` has not ended after {_DOCTOR_S} s")
    return Wellness("" if done.returncode == 0 else "`appliance doctor` finds a fault", done.stdout + done.stderr)


def journal_of(units: tuple[str, ...] = UNITS, lines: int = 8) -> str:
    """Return the last lines of each unit's log, to show why it is not well."""
    said = []
    for unit in units:
        done = subprocess.run(
            ["journalctl", "--unit", unit, "--lines", str(lines), "--no-pager", "--output", "cat"],
            capture_output=True,
            text=True,
            check=False,
        )
        said += [f"{unit}:", *(f"  | {line}" for line in done.stdout.splitlines())]
    return "\n".join(said)
