# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Takes the appliance away: programs and units always, studies, ledger and settings only when asked to."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from appliance.errors import ApplianceError, SettingsError
from appliance.settings_sources import load_settings
from deploy.install.console import say
from deploy.install.layout import ORTHANC_USER, READER_USER, TARGET, UNITS, Layout
from deploy.install.units import remove_units, systemctl

_WORD: Final = "purge"


def uninstall(layout: Layout, *, purge: bool, agreed: bool, ask: Callable[[str], str] = input) -> None:
    """Stop and remove the units; with `purge`, and after a yes, also what the appliance keeps.

    `deploy/install.sh` removes the programs afterwards. Raises `SettingsError` when nobody agrees to the purge; then
    nothing has been touched.
    """
    doomed = [folder for folder in (layout.data, layout.etc) if folder.exists()]
    elsewhere = outside_data(layout)
    if purge:
        say("this deletes for good:")
        for folder in doomed:
            say(f"  {folder}: {contents(folder)}")
        say(f"  the users {READER_USER} and {ORTHANC_USER}")
        for path in elsewhere:
            say(f"it does not touch {path}, which a setting names")
        if not agreed and not _agrees(ask):
            raise SettingsError("nothing was deleted and nothing was stopped")
    systemctl("disable", "--now", TARGET, check=False)
    systemctl("stop", *UNITS, check=False)
    remove_units(layout)
    systemctl("daemon-reload")
    systemctl("reset-failed", *UNITS, check=False)
    if not purge:
        kept = [*doomed, *elsewhere]
        say(f"left as they are: {', '.join(map(str, kept))}, and the users {READER_USER} and {ORTHANC_USER}")
        return
    for folder in doomed:
        shutil.rmtree(folder)
        say(f"deleted {folder}")
    for name in (READER_USER, ORTHANC_USER):
        subprocess.run(["userdel", name], check=False, capture_output=True)


def _agrees(ask: Callable[[str], str]) -> bool:
    if not sys.stdin.isatty():
        say("nobody sits at a terminal to be asked; --yes says yes")
        return False
    return ask(f'type "{_WORD}" to delete all this: ').strip() == _WORD


def contents(folder: Path) -> str:
    """Return in words how much a folder holds."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB"


def outside_data(layout: Layout) -> list[Path]:
    """Return what the settings place outside the appliance's own folder; nothing where they cannot be read."""
    try:
        settings = load_settings(layout.settings)
    except (ApplianceError, OSError):
        return []
    named = [settings.state_dir, settings.orthanc.storage, settings.site_models]
    return [path for path in named if path is not None and path.exists() and layout.data not in path.parents]
