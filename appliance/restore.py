# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Restores a backup on this machine or another, whose service must not run.

Files that are replaced are kept beside the new ones.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import make_url

from appliance.backup import ledger_file
from appliance.backup_file import ACCOUNTS, LEDGER, MODELS, ORTHANC, SETTINGS, BackupError, Contents, unpacked
from appliance.errors import ApplianceError, SettingsError
from appliance.ledger.engine import awaits_migration
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.state_folder import FILES, StateFolder

_SQLITE_LOGS: Final = ("-journal", "-wal")
"""The suffixes of the files that SQLite keeps beside a ledger and that may hold a part of it."""


def restore(
    backup: Path, settings: Settings, settings_file: Path | None, *, with_settings: bool = True, replace: bool = False
) -> Contents:
    """Put the files of a backup in their places on this machine, whose service must not run.

    Parameters
    ----------
    with_settings
        Whether the settings file is restored too; the present one is kept beside it.
    replace
        Whether a ledger that knows studies, or that cannot be read, may be replaced; it is kept beside the new one.

    Raises `BackupError` when the backup is damaged, comes from a later version or does not belong here, and
    `ApplianceError` when the service runs. In these cases nothing has been changed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    with _hold(settings), unpacked(backup, settings.state_dir) as (contents, folder):
        ledger = ledger_file(settings)
        if contents.has_ledger:
            _require_restorable(folder / LEDGER, ledger, replace=replace)
        if with_settings and settings_file is not None and (folder / SETTINGS).exists():
            _require_settings_of_here(folder / SETTINGS, settings)
        if contents.has_ledger and ledger is not None:
            _put_ledger(folder / LEDGER, ledger, stamp)
        if (folder / ACCOUNTS).exists():
            _put(folder / ACCOUNTS, settings.accounts_file, stamp)
        for path in sorted((folder / MODELS).rglob("*")) if (folder / MODELS).is_dir() else ():
            if path.is_file():
                target = settings.site_models / path.relative_to(folder / MODELS)
                if not target.exists():
                    _put(path, target, stamp)
        if settings.site_models.is_dir():
            _own_tree(settings.site_models, settings.state_dir)
        if with_settings and settings_file is not None:
            for name in (ORTHANC, SETTINGS):
                target = settings_file if name == SETTINGS else settings_file.with_name(name)
                if (folder / name).exists():
                    _put(folder / name, target, stamp)
    return contents


@contextmanager
def _hold(settings: Settings) -> Iterator[None]:
    """Hold the state folder so that no service starts meanwhile, and leave no file in it that its owner cannot use."""
    folder = StateFolder(settings.state_dir)
    try:
        yield
    finally:
        folder.close()
        for name in FILES:
            _give(settings.state_dir / name, settings.state_dir)


def _require_restorable(copy: Path, ledger: Path | None, *, replace: bool) -> None:
    if ledger is None:
        raise BackupError("the backup holds a ledger, and ledger.url names a server; empty that setting first")
    try:
        awaits_migration(f"sqlite:///{copy}")
    except ApplianceError as error:
        raise BackupError(f"the ledger in the backup cannot be used here: {error}") from error
    known = _describe_known_studies(ledger)
    if known and not replace:
        raise BackupError(
            f"the ledger of this machine {known}, which the backup may not know: --replace lets it give way, and keeps "
            "it beside the other"
        )


def _describe_known_studies(ledger: Path) -> str:
    """Return what the present ledger may know of studies; empty when it certainly knows none.

    It is opened read-only: SQLite would empty the log of a damaged one.
    """
    if not ledger.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"{ledger.absolute().as_uri()}?mode=ro", uri=True)) as opened:
            whole = opened.execute("PRAGMA quick_check(1)").fetchone()
            if whole != ("ok",):
                return "is damaged and may know studies"
            if not opened.execute("SELECT 1 FROM sqlite_master").fetchone():
                return ""
            studies = int(opened.execute("SELECT count(*) FROM studies").fetchone()[0])
    except sqlite3.Error as error:
        return f"cannot be read ({error}) and may know studies"
    return f"knows {studies} studies" if studies else ""


def _require_settings_of_here(file: Path, settings: Settings) -> None:
    """Raise unless the restored settings can be used and name the same folders as those of this machine."""
    try:
        restored = load_settings(file)
    except SettingsError as error:
        raise BackupError(
            f"the settings in the backup cannot be used here: {error}; --without-settings leaves them out"
        ) from error
    here, there = _places(settings), _places(restored)
    for name, place in there.items():
        if place != here[name]:
            raise BackupError(
                f"the settings in the backup keep {name} in {place}, and this machine in {here[name]}; "
                "--without-settings leaves them out"
            )


def _places(settings: Settings) -> dict[str, str]:
    """Return where settings keep what a backup holds and the ledger refers to, without passwords."""
    ledger = ledger_file(settings)
    storage = settings.orthanc.storage
    url = make_url(settings.ledger_url).difference_update_query(["password"])
    return {
        "their state (state_dir)": str(settings.state_dir.absolute()),
        "the ledger (ledger.url)": str(ledger.absolute() if ledger else url),
        "the accounts (access.accounts)": str(settings.accounts_file.absolute()),
        "the models (triton.site_models)": str(settings.site_models.absolute()),
        "the studies (orthanc.storage)": str(storage.absolute()) if storage else "no folder that is known",
    }


def _put_ledger(copy: Path, ledger: Path, stamp: str) -> None:
    """Put a ledger in its place; the present one is kept as it is, whole or damaged, with its logs."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    aside = _stage(copy, ledger, ledger.parent, 0o600)
    kept = ledger.with_name(f"{ledger.name}.before-{stamp}")
    # The file itself comes last: if this is cut off before, the next run still finds a ledger to keep.
    for part in (*_SQLITE_LOGS, ""):
        file = ledger.with_name(ledger.name + part)
        if file.exists() and (file.stat().st_size or file == ledger):
            file.rename(kept.with_name(kept.name + part))
        else:
            file.unlink(missing_ok=True)
    ledger.with_name(f"{ledger.name}-shm").unlink(missing_ok=True)
    aside.replace(ledger)


def _put(file: Path, target: Path, stamp: str) -> None:
    """Put a file in its place, with the owner and the rights of the present one, which is kept beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    like = target if target.exists() else target.parent
    aside = _stage(file, target, like, target.stat().st_mode & 0o7777 if target.exists() else 0o600)
    if target.exists():
        target.rename(target.with_name(f"{target.name}.before-{stamp}"))
    aside.replace(target)


def _stage(file: Path, target: Path, like: Path, mode: int) -> Path:
    """Copy a file beside its place and return the copy, so that a full disk shows before anything is replaced."""
    aside = target.with_name(f".{target.name}.restored")
    try:
        shutil.copyfile(file, aside)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    aside.chmod(mode)
    _give(aside, like)
    return aside


def _own_tree(folder: Path, like: Path) -> None:
    """Give a folder and everything that root owns in it to the owner of `like`."""
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid == 0:
            _give(path, like)


def _give(file: Path, like: Path) -> None:
    """Give a file to the owner of `like`: what root restores must belong to the service's user."""
    if os.geteuid() == 0 and file.exists():
        owner = like.stat()
        os.chown(file, owner.st_uid, owner.st_gid)
