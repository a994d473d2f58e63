# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Keeps files private to their owner: nobody else can read studies, the ledger, logs and credentials."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

UMASK: Final = 0o077
"""The umask of our files and folders: nobody but their owner has any right."""


def be_private() -> None:
    """Make every file that this process and its children create from now on private to their user."""
    os.umask(UMASK)


def close_to_others(paths: Iterable[Path]) -> None:
    """Remove the rights of group and others from this user's files and folders, which an older version may have left.

    Missing files, and those of another user, are skipped.
    """
    for path in paths:
        try:
            known = path.lstat()
            if known.st_uid == os.geteuid() and known.st_mode & UMASK and not path.is_symlink():
                path.chmod(known.st_mode & 0o7777 & ~UMASK)
        except OSError:
            continue
