# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Removes the appliance: programs and units always, studies, ledger and settings only on request."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from appliance.errors import ApplianceError, SettingsError, UnavailableError
from appliance.settings_sources import load_settings
from deploy.install.console import say
from deploy.install.layout import ORTHANC_USER, READER_USER, TARGET, UNITS, Layout
from deploy.install.units import remove_units, systemctl

_WORD: Final = "purge"
_MOST_COMPLAINTS: Final = 10


def uninstall(layout: Layout, *, purge: bool, agreed: bool, ask: Callable[[str], str] = input) -> None:
    """Stop and remove the units; with `purge`, and after a confirmation, also everything that the appliance keeps.

    Files that a setting or a link places elsewhere are named and stay. `deploy/install.sh` removes the programs
    afterwards. Raises `SettingsError` when nobody confirms the purge, and then nothing has been touched;
    `UnavailableError` when something could not be deleted.
    """
    doomed = [folder for folder in (layout.data, layout.etc) if folder.is_dir() and not folder.is_symlink()]
    elsewhere = outside(layout, doomed)
    if purge:
        say("this deletes for good:")
        for folder in doomed:
            say(f"  {folder}: {contents(folder)}")
        say(f"  the users {READER_USER} and {ORTHANC_USER}")
        for path, why in elsewhere.items():
            say(f"it does not touch {path}, {why}")
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
    for folder in (layout.data, layout.etc):
        if folder.is_symlink():
            folder.unlink()
    left = [complaint for folder in doomed for complaint in _delete(folder)]
    if left:
        raise UnavailableError(
            "not everything could be deleted, and the users stay. See to this, and call it again:\n"
            + "\n".join(f"  {complaint}" for complaint in left[:_MOST_COMPLAINTS])
            + (f"\n  and {len(left) - _MOST_COMPLAINTS} more" if len(left) > _MOST_COMPLAINTS else "")
        )
    for path in elsewhere:
        say(f"{path} is still there: delete it yourself if nobody needs it")
    for name in (READER_USER, ORTHANC_USER):
        subprocess.run(["userdel", name], check=False, capture_output=True)


def _delete(folder: Path) -> list[str]:
    """Delete a folder and its contents; return what could not be deleted, and why. A mount point is only emptied."""
    failed: list[tuple[Path, OSError]] = []

    def note(_: object, path: str, raised: tuple[Any, BaseException, Any]) -> None:
        assert isinstance(raised[1], OSError)
        failed.append((Path(path), raised[1]))

    shutil.rmtree(folder, onerror=note)
    mounts = {path for path, error in failed if error.errno == errno.EBUSY and os.path.ismount(path)}
    for path in sorted(mounts):
        say(f"emptied {path}, a mount point, which stays: umount it and remove it yourself")
    if not folder.exists():
        say(f"deleted {folder}")
    # A folder is not empty because of what stayed in it, which is named already.
    others = [(path, error) for path, error in failed if path not in mounts and error.errno != errno.ENOTEMPTY]
    return [f"{path}: {error.strerror}" for path, error in others]


def _agrees(ask: Callable[[str], str]) -> bool:
    if not sys.stdin.isatty():
        say("nobody sits at a terminal to be asked; --yes says yes")
        return False
    return ask(f'type "{_WORD}" to delete all this: ').strip() == _WORD


def contents(folder: Path) -> str:
    """Return in words how much a folder holds."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return f"{len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.1f} MB"


def outside(layout: Layout, doomed: Sequence[Path]) -> dict[Path, str]:
    """Return what the settings or a link place outside the folders that are deleted, each with its reason."""
    real = [folder.resolve() for folder in doomed]
    found: dict[Path, str] = {}

    def note(path: Path, why: str) -> None:
        target = path.resolve()
        if target.exists() and not any(target == folder or folder in target.parents for folder in real):
            found.setdefault(target, why)

    for path in (layout.data, layout.etc):
        note(path, f"to which {path} leads")
    for path in _list_named_folders(layout):
        note(path, "which a setting names")
    for folder in doomed:
        for within, folders, files in os.walk(folder):
            for path in (Path(within, name) for name in (*folders, *files)):
                if path.is_symlink():
                    note(path, f"to which {path} leads")
    return found


def _list_named_folders(layout: Layout) -> list[Path]:
    """Return the folders that the settings name; none if the settings cannot be read."""
    try:
        settings = load_settings(layout.settings)
    except (ApplianceError, OSError):
        return []
    named = [settings.state_dir, settings.orthanc.storage, settings.site_models]
    return [path for path in named if path is not None]
