# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Writes systemd's units and the command `appliance` for the running version, and calls systemctl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Final

from appliance.errors import UnavailableError
from appliance.settings import Settings
from deploy.install.layout import ORTHANC_USER, READER_USER, TARGET, UNITS, Layout

_TEMPLATES: Final = Path(__file__).parent / "units"
_STARTING_MORE_S: Final = 30
_STOPPING_MORE_S: Final = 15


def write_units(layout: Layout, settings: Settings) -> None:
    """Write the units and the command, replacing existing ones."""
    values = {
        "HOME": str(layout.current),
        "SETTINGS": str(layout.settings),
        "SECRETS": str(layout.secrets),
        "STATE": str(settings.state_dir),
        "ARCHIVE": str(settings.orthanc.storage or layout.archive),
        "READER_USER": READER_USER,
        "ORTHANC_USER": ORTHANC_USER,
        "STARTING_S": str(int(settings.supervisor.starting_s) + _STARTING_MORE_S),
        "STOPPING_S": str(int(settings.service.stop_s) + _STOPPING_MORE_S),
        "PATIENCE_S": str(int(settings.supervisor.patience_s)),
    }
    layout.units.mkdir(parents=True, exist_ok=True)
    for unit in (*UNITS, TARGET):
        _write(layout.units / unit, _fill(_TEMPLATES / unit, values), 0o644)
    layout.command.parent.mkdir(parents=True, exist_ok=True)
    _write(layout.command, _fill(_TEMPLATES / "appliance.sh", values), 0o755)


def _fill(template: Path, values: dict[str, str]) -> str:
    text = template.read_text().replace("@HARDENING@", (_TEMPLATES / "hardening.conf").read_text())
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _write(file: Path, text: str, mode: int) -> None:
    aside = file.with_name(f".{file.name}.new")
    aside.write_text(text)
    aside.chmod(mode)
    aside.replace(file)


def remove_units(layout: Layout) -> None:
    """Remove the units and the command, which must have been stopped."""
    for file in (*(layout.units / unit for unit in (*UNITS, TARGET)), layout.command):
        file.unlink(missing_ok=True)


def systemctl(*arguments: str, check: bool = True) -> str:
    """Return the output of systemctl. Raises `UnavailableError` with its message when it fails and `check` is set."""
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        raise UnavailableError(f"systemctl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()
