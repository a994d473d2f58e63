# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One file with what a site cannot make again, and the way back from it onto this machine or another.

In it: the ledger (what was decided and done, and by which UIDs the results are known), the settings, the accounts, and
the versions of the model that the site brought in. Not in it: the archive, which is Orthanc's, and secrets, which each
installation makes for itself. A ledger on a server is not in it either: it has backups of its own.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from sqlalchemy import make_url

from appliance import __version__
from appliance.errors import ApplianceError, SettingsError
from appliance.ledger.engine import awaits_migration
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.state_folder import FILES, StateFolder

FORMAT: Final = 1
_MANIFEST: Final = "manifest.json"
_LEDGER, _SETTINGS, _ACCOUNTS = "ledger.sqlite", "appliance.toml", "accounts.toml"
_ORTHANC, _MODELS = "orthanc.json", "models"
_NAME: Final = re.compile(rf"{_LEDGER}|{_SETTINGS}|{_ACCOUNTS}|{_ORTHANC}|{_MODELS}(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
_LARGEST_MANIFEST: Final = 16 * 2**20
_SQLITE_LOGS: Final = ("-journal", "-wal")
"""The ends of the names of what SQLite keeps beside a ledger, and which may hold a part of it."""


class BackupError(ApplianceError):
    """A backup cannot be made, or what was given is none that can be restored here."""


@dataclass(frozen=True)
class Contents:
    """What a backup holds: when and by which version it was made (UTC), and the names of its files."""

    made: str
    version: str
    files: tuple[str, ...]

    @property
    def has_ledger(self) -> bool:
        """Whether the ledger is in it."""
        return _LEDGER in self.files


def ledger_file(settings: Settings) -> Path | None:
    """Return the file of an SQLite ledger, None when it is on a server."""
    scheme, _, path = settings.ledger_url.partition(":///")
    return Path(path) if scheme.startswith("sqlite") else None


def back_up(settings: Settings, settings_file: Path | None, out: Path) -> Contents:
    """Write a backup to `out`, which must not be there yet and which only its owner may read; the service may run.

    Raises `BackupError`, or `OSError` when a file cannot be read or written.
    """
    if out.exists():
        raise BackupError(f"{out} is there already; name another file")
    made = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    aside = out.with_name(f".{out.name}.new")
    with tempfile.TemporaryDirectory(dir=out.absolute().parent) as folder:
        files = dict(_files(settings, settings_file, Path(folder)))
        manifest = {
            "format": FORMAT,
            "made": made,
            "version": __version__,
            "files": {name: _sha256(file) for name, file in files.items()},
        }
        aside.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as written:
                with tarfile.open(fileobj=written, mode="w:gz") as tar:
                    text = json.dumps(manifest, indent=2).encode()
                    member = tarfile.TarInfo(_MANIFEST)
                    member.size = len(text)
                    tar.addfile(member, io.BytesIO(text))
                    for name, file in files.items():
                        tar.add(file, name, recursive=False)
                written.flush()
                os.fsync(written.fileno())
            aside.rename(out)
        finally:
            aside.unlink(missing_ok=True)
    return Contents(made, __version__, tuple(files))


def _files(settings: Settings, settings_file: Path | None, folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each file of a backup with its name there; what may change meanwhile is copied into `folder` first."""
    ledger = ledger_file(settings)
    if ledger is not None and ledger.exists():
        copy = folder / _LEDGER
        copy_ledger(ledger, copy)
        yield _LEDGER, copy
    if settings_file is not None:
        yield _SETTINGS, settings_file
        if settings_file.with_name(_ORTHANC).exists():
            yield _ORTHANC, settings_file.with_name(_ORTHANC)
    if settings.accounts_file.exists():
        yield _ACCOUNTS, settings.accounts_file
    if settings.site_models.is_dir():
        for path in sorted(settings.site_models.rglob("*")):
            name = f"{_MODELS}/{path.relative_to(settings.site_models)}"
            if path.is_file() and not path.is_symlink() and _NAME.fullmatch(name):
                yield name, path


def copy_ledger(ledger: Path, copy: Path) -> None:
    """Copy an SQLite ledger by SQLite's own means, whoever writes it meanwhile.

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


def restore(
    backup: Path, settings: Settings, settings_file: Path | None, *, with_settings: bool = True, replace: bool = False
) -> Contents:
    """Put what a backup holds in its place on this machine, whose service must not run.

    Parameters
    ----------
    with_settings
        Whether the settings file is restored too; the one that is there is kept beside it.
    replace
        Whether a ledger that knows studies, or that cannot be read, may give way; it is kept beside the restored one.

    Raises `BackupError` when the backup is damaged, of a later version or does not belong here, and `ApplianceError`
    when the service runs. Then nothing has been changed.
    """
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    with _held(settings), _unpacked(backup, settings.state_dir) as (contents, folder):
        ledger = ledger_file(settings)
        if contents.has_ledger:
            _require_restorable(folder / _LEDGER, ledger, replace=replace)
        if with_settings and settings_file is not None and (folder / _SETTINGS).exists():
            _require_settings_of_here(folder / _SETTINGS, settings)
        if contents.has_ledger and ledger is not None:
            _put_ledger(folder / _LEDGER, ledger, stamp)
        if (folder / _ACCOUNTS).exists():
            _put(folder / _ACCOUNTS, settings.accounts_file, stamp)
        for path in sorted((folder / _MODELS).rglob("*")) if (folder / _MODELS).is_dir() else ():
            if path.is_file():
                target = settings.site_models / path.relative_to(folder / _MODELS)
                if not target.exists():
                    _put(path, target, stamp)
        if settings.site_models.is_dir():
            _own_tree(settings.site_models, settings.state_dir)
        if with_settings and settings_file is not None:
            for name in (_ORTHANC, _SETTINGS):
                target = settings_file if name == _SETTINGS else settings_file.with_name(name)
                if (folder / name).exists():
                    _put(folder / name, target, stamp)
    return contents


@contextmanager
def _held(settings: Settings) -> Iterator[None]:
    """Hold the state folder, so that no service starts meanwhile, and leave no file in it that its owner cannot use."""
    folder = StateFolder(settings.state_dir)
    try:
        yield
    finally:
        folder.close()
        for name in FILES:
            _give(settings.state_dir / name, settings.state_dir)


@contextmanager
def _unpacked(backup: Path, near: Path) -> Iterator[tuple[Contents, Path]]:
    """Yield what a backup holds, its files in a folder, each as its checksum says."""
    with tempfile.TemporaryDirectory(dir=near) as folder:
        try:
            with tarfile.open(backup, "r:gz") as tar:
                manifest = _manifest(tar, backup)
                for member in tar:
                    _unpack(tar, member, Path(folder))
        except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise BackupError(f"{backup} is no backup, or damaged ({type(error).__name__}: {error})") from error
        for name, digest in manifest["files"].items():
            file = Path(folder) / name
            if not file.is_file() or _sha256(file) != digest:
                raise BackupError(f"{backup} is damaged: {name} is not what was backed up")
        yield Contents(str(manifest["made"]), str(manifest["version"]), tuple(manifest["files"])), Path(folder)


def _manifest(tar: tarfile.TarFile, backup: Path) -> dict[str, Any]:
    member = tar.next()
    opened = tar.extractfile(member) if member is not None and member.name == _MANIFEST else None
    if opened is None:
        raise BackupError(f"{backup} is no backup of the appliance")
    manifest = json.loads(opened.read(_LARGEST_MANIFEST))
    if manifest.get("format") != FORMAT:
        raise BackupError(
            f"{backup} has format {manifest.get('format')}, and this version knows {FORMAT}; use the one that made it"
        )
    if not all(_NAME.fullmatch(name) and ".." not in name for name in manifest["files"]):
        raise BackupError(f"{backup} holds files that belong to no backup")
    return dict(manifest)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Unpack one file, if it is one and its name is one that a backup has: nothing else is ever written."""
    opened = tar.extractfile(member) if member.isfile() else None
    if opened is None or not _NAME.fullmatch(member.name) or ".." in member.name:
        return
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        shutil.copyfileobj(opened, written)


def _require_restorable(copy: Path, ledger: Path | None, *, replace: bool) -> None:
    if ledger is None:
        raise BackupError("the backup holds a ledger, and ledger.url names a server; empty that setting first")
    try:
        awaits_migration(f"sqlite:///{copy}")
    except ApplianceError as error:
        raise BackupError(f"the ledger in the backup cannot be used here: {error}") from error
    known = _known_studies(ledger)
    if known and not replace:
        raise BackupError(
            f"the ledger of this machine {known}, which the backup may not know: --replace lets it give way, and keeps "
            "it beside the other"
        )


def _known_studies(ledger: Path) -> str:
    """Say what the ledger that is there may know of studies, empty when that is nothing for certain.

    It is opened for reading alone: SQLite would empty the log of a damaged one.
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
    """Raise unless restored settings can be used, and mean the same folders as those of this machine."""
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
    """Return where settings keep what a backup holds and what the ledger speaks of; no password is in it."""
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
    """Put a ledger in its place; the one that was there is kept as it is, whole or damaged, with its logs."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    aside = _stage(copy, ledger, ledger.parent, 0o600)
    kept = ledger.with_name(f"{ledger.name}.before-{stamp}")
    # The file itself comes last: when this is cut off before, there still is a ledger to keep when it is run again.
    for part in (*_SQLITE_LOGS, ""):
        file = ledger.with_name(ledger.name + part)
        if file.exists() and (file.stat().st_size or file == ledger):
            file.rename(kept.with_name(kept.name + part))
        else:
            file.unlink(missing_ok=True)
    ledger.with_name(f"{ledger.name}-shm").unlink(missing_ok=True)
    aside.replace(ledger)


def _put(file: Path, target: Path, stamp: str) -> None:
    """Put a file in its place, with the owner and the rights of what was there; that is kept beside it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    like = target if target.exists() else target.parent
    aside = _stage(file, target, like, target.stat().st_mode & 0o7777 if target.exists() else 0o600)
    if target.exists():
        target.rename(target.with_name(f"{target.name}.before-{stamp}"))
    aside.replace(target)


def _stage(file: Path, target: Path, like: Path, mode: int) -> Path:
    """Copy a file beside its place and return the copy: a full disk is met before anything has given way."""
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
    """Give a folder and all in it to whoever has `like`, where root made it."""
    for path in (folder, *folder.rglob("*")):
        if path.lstat().st_uid == 0:
            _give(path, like)


def _give(file: Path, like: Path) -> None:
    """Give a file to whoever has `like`: what root restores must be the service's own."""
    if os.geteuid() == 0 and file.exists():
        owner = like.stat()
        os.chown(file, owner.st_uid, owner.st_gid)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
