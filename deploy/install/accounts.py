# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The users, folders and secrets of an installed appliance; existing ones stay as they are."""

from __future__ import annotations

import os
import secrets
import shutil
from pathlib import Path
from typing import Final

from deploy.install.layout import ORTHANC_USER, READER_USER, Layout
from deploy.local.unprivileged import ensure_user

_ORTHANC_NAME: Final = "appliance"


def make_users() -> None:
    """Make both users, without login and home. Raises `SettingsError` when one cannot be made."""
    for name in (READER_USER, ORTHANC_USER):
        ensure_user(name)


def make_folders(layout: Layout) -> None:
    """Make the folders with the rights that each needs."""
    _folder(layout.etc, 0o755)
    _folder(layout.secrets, 0o750, group=READER_USER)
    _folder(layout.data, 0o755)
    _folder(layout.state, 0o700, user=READER_USER, group=READER_USER)
    _folder(layout.archive, 0o700, user=ORTHANC_USER, group=ORTHANC_USER)
    _folder(layout.backups, 0o700)


def _folder(path: Path, mode: int, user: str = "root", group: str = "root") -> None:
    path.mkdir(parents=True, exist_ok=True)
    path.chmod(mode)
    shutil.chown(path, user, group)


def make_secrets(layout: Layout) -> None:
    """Make Orthanc's user and password and Triton's secret, if they are missing."""
    for name, secret in (
        ("orthanc.username", _ORTHANC_NAME),
        ("orthanc.password", secrets.token_urlsafe(24)),
        ("triton.secret", secrets.token_urlsafe(24)),
    ):
        file = layout.secrets / name
        if not file.exists():
            aside = file.with_name(f".{name}.new")
            aside.unlink(missing_ok=True)
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o640), "w") as written:
                written.write(f"{secret}\n")
                os.fchmod(written.fileno(), 0o640)  # whatever the umask is
            shutil.chown(aside, "root", READER_USER)
            aside.replace(file)


def share_settings(layout: Layout) -> None:
    """Let only the appliance's users read the settings file, and only root write it: a URL may hold a password."""
    layout.settings.chmod(0o640)
    shutil.chown(layout.settings, "root", READER_USER)
