# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An unprivileged user for the servers that root starts, if that user can run them at all.

The user must be able to read this checkout, its environments and their Python, which is impossible for a checkout below
/root or a Python built there. This is tried as `nobody` before a user is made.
"""

from __future__ import annotations

import grp
import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import SettingsError

_NOBODY: Final = "nobody"
_TRIED_S: Final = 120
_HOME: Final = "/nonexistent"


@dataclass(frozen=True)
class User:
    """A user of this machine."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]

    @property
    def environment(self) -> dict[str, str]:
        """What its processes find about the user in their environment."""
        return {"USER": self.name, "LOGNAME": self.name, "HOME": _HOME}

    def own(self, *paths: Path) -> None:
        """Make it the owner of files and folders, but not of the contents of folders. Raises `OSError`."""
        for path in paths:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)

    def own_all(self, folder: Path) -> None:
        """Make it the owner of a folder and of everything in it that root owned. Raises `OSError`."""
        for path in (folder, *folder.rglob("*")):
            if path.lstat().st_uid == 0:
                self.own(path)

    def explain_refusal(self, command: Sequence[str], folder: Path) -> str:
        """Return why it cannot run `command` in `folder`; empty when it can."""
        try:
            tried = subprocess.run(
                command,
                user=self.uid,
                group=self.gid,
                extra_groups=self.groups,
                cwd=folder,
                env={"PATH": os.environ.get("PATH", os.defpath), "PYTHONDONTWRITEBYTECODE": "1"} | self.environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_TRIED_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            return str(error)
        said = tried.stderr.strip().splitlines()
        return "" if tried.returncode == 0 else said[-1] if said else f"exit status {tried.returncode}"


def find_user(name: str) -> User | None:
    """Return a user by name, None when there is none."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    groups = {entry.pw_gid, *(group.gr_gid for group in grp.getgrall() if name in group.gr_mem)}
    return User(name, entry.pw_uid, entry.pw_gid, tuple(sorted(groups)))


def nobody() -> User | None:
    """Return the user `nobody`, who owns nothing; None on a machine without one."""
    return find_user(_NOBODY)


def ensure_user(name: str) -> User:
    """Return a user by name, created without login and home if missing. Raises `SettingsError`."""
    user = find_user(name)
    if user is None:
        command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", _HOME]
        try:
            made = subprocess.run(
                [*command, "--shell", "/usr/sbin/nologin", name], capture_output=True, text=True, check=False
            )
            fault = made.stderr.strip()
        except OSError as error:
            fault = str(error)
        user = find_user(name)
        if user is None:
            raise SettingsError(f"supervisor.user = {name!r}: cannot be made ({fault}); name a user, or none for root")
    return user
