# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A copy of the ledger from before an upgrade, and its last migration.

An SQLite ledger is copied with SQLite's own backup, while others may write to it. A ledger on PostgreSQL is the site's,
and the site backs it up: other machines may work on it, and restoring it would undo their work.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing, suppress
from datetime import UTC, datetime
from pathlib import Path

from appliance.backup import copy_ledger as copy_whole


def revision(file: Path) -> str:
    """Return the last migration of a ledger, empty when it has had none or does not exist."""
    if not file.exists():
        return ""
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as ledger, suppress(sqlite3.Error):
        row = ledger.execute("SELECT version_num FROM alembic_version").fetchone()
        return str(row[0]) if row else ""
    return ""


def copy_ledger(file: Path, folder: Path, version: str) -> Path:
    """Copy a ledger into `folder`, named after the version that wrote it, and return the copy.

    Raises `BackupError` when it cannot be copied or the copy is not whole.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    copy = folder / f"ledger-{version}-{stamp}.sqlite"
    copy_whole(file, copy)
    return copy


def take_back(copy: Path, file: Path) -> None:
    """Put a copy in the ledger's place, with the ledger's owner; nobody may have the ledger open."""
    owner = file.stat() if file.exists() else file.parent.stat()
    aside = file.with_name(f".{file.name}.back")
    try:
        shutil.copyfile(copy, aside)
        aside.chmod(0o600)
        shutil.chown(aside, owner.st_uid, owner.st_gid)
    except OSError:  # a full disk, which half a copy would keep full
        aside.unlink(missing_ok=True)
        raise
    for part in ("-wal", "-shm"):
        file.with_name(file.name + part).unlink(missing_ok=True)
    aside.replace(file)
