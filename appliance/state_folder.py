# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's state folder: held by one service at a time, with the identity that this service keeps in it.

The identity names the owner of a job across restarts. It is a random number, not host name and port, which two machines
may have in common. A copy of the folder gets a new identity.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import secrets
from pathlib import Path
from typing import Final

import structlog

from appliance.errors import ApplianceError, UnavailableError

_LOCK: Final = "service.lock"
_IDENTITY: Final = "identity.json"
FILES: Final = (_LOCK, _IDENTITY)
"""The names of the files in it."""
_PROBE: Final = ".write-probe"
_PROBE_BYTES: Final = 256 * 1024
_MACHINE: Final = Path("/etc/machine-id")


class StateFolder:
    """The folder, held by this process until `close` or its end.

    Raises `ApplianceError` when another service holds it, or when it cannot be written.

    Attributes
    ----------
    identity
        32 hexadecimal digits, the same after a restart.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder.absolute()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._lock: int | None = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ApplianceError(
                f"state_dir = {self._folder}: cannot be written ({error.strerror}); give this user the folder, or set "
                "state_dir to one of its own"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.close()
            raise ApplianceError(
                f"state_dir = {self._folder}: another service works on this folder; stop it, or give each service a "
                "state_dir of its own"
            ) from error
        try:
            self.identity = self._read_identity() or self._new_identity()
        except OSError as error:
            self.close()
            raise ApplianceError(
                f"state_dir = {self._folder}: the service's identity cannot be kept there ({error.strerror}); see to "
                "the folder's rights and its disk"
            ) from error

    def check(self) -> None:
        """Raise `UnavailableError` unless a file can be written there now."""
        probe_folder(self._folder)

    def close(self) -> None:
        """Release the folder."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _read_identity(self) -> str | None:
        """Return the identity that is kept, None when there is none or the folder is a copy."""
        try:
            with (self._folder / _IDENTITY).open() as file:
                kept = json.load(file)
                place = _place(file.fileno())
            identity = str(kept["identity"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):  # cut short by a full disk, for example
            structlog.get_logger("service").warning("the kept identity cannot be read: a new one is made")
            return None
        if re.fullmatch(r"[0-9a-f]{32}", identity) and kept.get("place") == place:
            return identity
        structlog.get_logger("service").warning("the state folder is a copy: it gets an identity of its own")
        return None

    def _new_identity(self) -> str:
        """Make an identity and store it, whole or not at all, even when the power fails. The caller holds the lock."""
        identity = secrets.token_hex(16)
        written = self._folder / f"{_IDENTITY}.new"
        written.unlink(missing_ok=True)
        descriptor = os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({"identity": identity, "place": _place(descriptor)}, file)
            file.flush()
            os.fsync(descriptor)
        written.replace(self._folder / _IDENTITY)
        return identity


def _place(descriptor: int) -> str:
    """Return what distinguishes a file from its copies: the machine and the inode number, which a rename keeps."""
    try:
        machine = _MACHINE.read_text().strip()
    except OSError:
        machine = ""
    return f"{machine}:{os.fstat(descriptor).st_ino}"


def probe_folder(folder: Path) -> None:
    """Write a file into `folder` and remove it again; raises `UnavailableError` with what is wrong and the remedy."""
    probe = folder / f"{_PROBE}-{os.getpid()}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            # Not a hole: a full disk shows only when blocks are allocated.
            written = os.write(descriptor, bytes(_PROBE_BYTES))
            if written < _PROBE_BYTES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnavailableError(
            f"{folder} cannot be written ({error.strerror}); make room on its disk, see that it is not mounted "
            "read-only, or give this user the folder (`chown`)"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
