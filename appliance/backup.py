# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A backup: one file with what a site cannot make again. `restore` is the way back from it.

It holds the ledger (what was decided and done, and the UIDs of the results), the settings, the accounts, and the
versions of the model that the site loaded. It does not hold the archive, which is Orthanc's, nor secrets, which each
installation makes for itself, nor a ledger on a server, which the site backs up.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from appliance import __version__
from appliance.backup_file import ACCOUNTS, LEDGER, MODELS, NAME, ORTHANC, SETTINGS, BackupError, Contents, pack
from appliance.settings import Settings


def ledger_file(settings: Settings) -> Path | None:
    """Return the file of an SQLite ledger, None when it is on a server."""
    scheme, _, path = settings.ledger_url.partition(":///")
    return Path(path) if scheme.startswith("sqlite") else None


def back_up(settings: Settings, settings_file: Path | None, out: Path) -> Contents:
    """Write a backup to `out`, which must not exist yet and which only its owner may read; the service may run.

    Raises `BackupError`, or `OSError` when a file cannot be read or written.
    """
    if out.exists():
        raise BackupError(f"{out} is there already; name another file")
    made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as folder:
        files = dict(_files(settings, settings_file, Path(folder)))
        pack(files, made, out)
    return Contents(made, __version__, tuple(files))


def _files(settings: Settings, settings_file: Path | None, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of a backup with its name there; the ledger, which may change, is copied into `folder` first."""
    ledger = ledger_file(settings)
    if ledger is not None and ledger.exists():
        copy = folder / LEDGER
        copy_ledger(ledger, copy)
        yield LEDGER, copy
    if settings_file is not None:
        yield SETTINGS, settings_file
        if settings_file.with_name(ORTHANC).exists():
            yield ORTHANC, settings_file.with_name(ORTHANC)
    if settings.accounts_file.exists():
        yield ACCOUNTS, settings.accounts_file
    if settings.site_models.is_dir():
        for path in sorted(settings.site_models.rglob("*")):
            name = f"{MODELS}/{path.relative_to(settings.site_models)}"
            if path.is_file() and not path.is_symlink() and NAME.fullmatch(name):
                yield name, path


def copy_ledger(ledger: Path, copy: Path) -> None:
    """Copy an SQLite ledger with SQLite's own backup, while others may write to it.

    Raises `BackupError` when it cannot be read or the copy is not whole.
    """
    try:
        with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
            whole = target.execute("PRAGMA quick_check").fetchone()
    except sqlite3.Error as error:
        copy.unlink(missing_ok=True)
        raise BackupError(f"{ledger} cannot be copied ({error}); see to its disk and its rights") from error
    if whole != ("ok",):
        copy.unlink(missing_ok=True)
        raise BackupError(f"{ledger} is damaged: {whole[0] if whole else 'nothing can be read'}")
    copy.chmod(0o600)
