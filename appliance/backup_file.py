# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The file of a backup: a compressed tar that begins with a manifest of names and checksums.

Unpacked, it yields only files that a backup may hold, each with the content that the manifest names.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from appliance import __version__
from appliance.errors import ApplianceError

FORMAT: Final = 1
LEDGER, SETTINGS, ACCOUNTS = "ledger.sqlite", "appliance.toml", "accounts.toml"
ORTHANC, MODELS = "orthanc.json", "models"
NAME: Final = re.compile(rf"{LEDGER}|{SETTINGS}|{ACCOUNTS}|{ORTHANC}|{MODELS}(/[A-Za-z0-9_][A-Za-z0-9._-]*)+")
"""The names that files in a backup may have."""
_MANIFEST: Final = "manifest.json"
_LARGEST_MANIFEST: Final = 16 * 2**20
_DAMAGED: Final = (tarfile.TarError, EOFError, OSError, ValueError, KeyError, TypeError, RecursionError, zlib.error)
"""What the reading of a file raises that is no backup, or a damaged one."""


class BackupError(ApplianceError):
    """A backup cannot be made, or a file is not a backup that can be restored here."""


@dataclass(frozen=True)
class Contents:
    """What a backup says of itself: when it was made (UTC), by which version, and the names of its files."""

    made: str
    version: str
    files: tuple[str, ...]

    @property
    def has_ledger(self) -> bool:
        """Whether it holds the ledger."""
        return LEDGER in self.files


def pack(files: Mapping[str, Path], made: str, out: Path) -> None:
    """Write `files`, each by its name there, into the new backup `out`, which only its owner may read.

    Raises `OSError` when a file cannot be read or written; then there is no `out`.
    """
    manifest = {
        "format": FORMAT,
        "made": made,
        "version": __version__,
        "files": {name: _sha256(file) for name, file in files.items()},
    }
    aside = out.with_name(f".{out.name}.new")
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


@contextmanager
def unpacked(backup: Path, near: Path) -> Iterator[tuple[Contents, Path]]:
    """Yield the contents of a backup and a folder with its files, each checked against its checksum."""
    with tempfile.TemporaryDirectory(dir=near) as folder:
        try:
            with tarfile.open(backup, "r:gz") as tar:
                manifest = _manifest(tar, backup)
                for member in tar:
                    _unpack(tar, member, Path(folder))
                _read_to_the_end(tar)
        except _DAMAGED as error:
            raise BackupError(f"{backup} is no backup, or damaged ({type(error).__name__}: {error})") from error
        for name, digest in manifest["files"].items():
            file = Path(folder) / name
            if not file.is_file() or _sha256(file) != digest:
                raise BackupError(f"{backup} is damaged: {name} is not what was backed up")
        yield Contents(str(manifest["made"]), str(manifest["version"]), tuple(manifest["files"])), Path(folder)


def _read_to_the_end(tar: tarfile.TarFile) -> None:
    """Read what follows the last file: the checksum of the whole stands at the end, and nobody else asks for it."""
    assert tar.fileobj is not None
    while tar.fileobj.read(2**20):
        pass


def _manifest(tar: tarfile.TarFile, backup: Path) -> dict[str, Any]:
    member = tar.next()
    opened = tar.extractfile(member) if member is not None and member.name == _MANIFEST else None
    if opened is None:
        raise BackupError(f"{backup} is no backup of the appliance")
    manifest = json.loads(opened.read(_LARGEST_MANIFEST))
    if not isinstance(manifest, dict):
        raise BackupError(f"{backup} is no backup of the appliance")
    if manifest.get("format") != FORMAT:
        raise BackupError(
            f"{backup} has format {manifest.get('format')}, and this version knows {FORMAT}; use the one that made it"
        )
    if not isinstance(manifest.get("files"), dict) or not {"made", "version"} <= manifest.keys():
        raise BackupError(f"{backup} is damaged: its manifest lacks what every backup says of itself")
    if not all(NAME.fullmatch(name) and ".." not in name for name in manifest["files"]):
        raise BackupError(f"{backup} holds files that belong to no backup")
    return dict(manifest)


def _unpack(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """Unpack one member if it is a file with a name that a backup may have; nothing else is ever written."""
    opened = tar.extractfile(member) if member.isfile() else None
    if opened is None or not NAME.fullmatch(member.name) or ".." in member.name:
        return
    target = folder / member.name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as written:
        shutil.copyfileobj(opened, written)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
