# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the appliance keeps is its owner's alone: nobody else reads studies, the ledger, logs and credentials."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

UMASK: Final = 0o077
"""What files and folders of ours are made with: no right for anybody but their owner."""


def be_private() -> None:
    """Let everything that this process and its children make from now on be their user's alone."""
    os.umask(UMASK)


def close_to_others(paths: Iterable[Path]) -> None:
    """Take group's and others' rights from files and folders that this user owns, as an older version left them.

    What is not there, or another user's, stays as it is.
    """
    for path in paths:
        try:
            known = path.lstat()
            if known.st_uid == os.geteuid() and known.st_mode & UMASK and not path.is_symlink():
                path.chmod(known.st_mode & 0o7777 & ~UMASK)
        except OSError:
            continue
