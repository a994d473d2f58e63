# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The accounts of those who reach the service from other machines, in one file that only its owner may read.

An account has a name, a role and a secret of 256 random bits, made here and shown once: the file holds only its sha256.
No person chooses a secret, so none can be guessed, and no slow hash is needed, which a flood of guesses would turn into
work.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import re
import secrets
import threading
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from appliance.errors import SettingsError

_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,38}[A-Za-z0-9])?")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_LONGEST_HEADER: Final = 512


class Role(StrEnum):
    """What an account may do; each includes what those before it may."""

    METRICS = "metrics"
    """Read the metrics and health with its reasons: for Prometheus, which needs no patient."""
    LOOK = "look"
    """See the pages (names and key images of patients too), the status and the metrics."""
    ACT = "act"
    """The same, and also read the audit trail, judge answers, retry and drop deliveries, ask for answers and ring the
    doorbell."""

    def may(self, needed: Role) -> bool:
        """Return whether this role includes what `needed` allows."""
        order = list(Role)
        return order.index(self) >= order.index(needed)


@dataclass(frozen=True)
class Account:
    """One account. `sha256` is that of its secret, in hexadecimal."""

    name: str
    role: Role
    sha256: str


def new_account(name: str, role: Role) -> tuple[Account, str]:
    """Return an account and its secret, which cannot be shown again. Raises `SettingsError` for an odd name."""
    if not _NAME.fullmatch(name):
        raise SettingsError(f"account {name!r}: 1 to 40 letters, digits, dots, hyphens and underscores are allowed")
    secret = secrets.token_urlsafe(32)
    return Account(name, role, _digest(secret)), secret


def read_accounts(file: Path) -> tuple[Account, ...]:
    """Return the accounts in a file, none when it is not there.

    Raises `SettingsError` when it cannot be read, is no file of accounts, or others than its owner may read it.
    """
    try:
        with file.open("rb") as opened:
            if os.fstat(opened.fileno()).st_mode & 0o077:
                raise SettingsError(f"{file}: others than its owner may read or change it; chmod 600 {file}")
            return _accounts(tomllib.load(opened))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read ({error.strerror}); check its rights") from error
    except ValueError as error:  # not TOML or not UTF-8; its own text may quote the file
        raise SettingsError(f"{file} is no file of accounts; make it with `appliance accounts add`") from error


def write_accounts(file: Path, accounts: Iterable[Account]) -> None:
    """Replace the accounts in a file, all at once. Raises `OSError`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [f'[{account.name!r}]\nrole = "{account.role}"\nsha256 = "{account.sha256}"\n' for account in accounts]
    aside = file.with_name(f"{file.name}.new")
    aside.unlink(missing_ok=True)
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
        written.write("\n".join(lines))
    aside.replace(file)


def _accounts(held: dict[str, object]) -> tuple[Account, ...]:
    found = []
    for name, value in held.items():
        fields = value if isinstance(value, dict) else {}
        digest = fields.get("sha256")
        if set(fields) != {"role", "sha256"} or not isinstance(digest, str) or not _SHA256.fullmatch(digest):
            raise ValueError
        if not _NAME.fullmatch(name):
            raise ValueError
        found.append(Account(name, Role(fields["role"]), digest))
    return tuple(found)


class Accounts:
    """The accounts in a file, read again when it changes, so that a removed account is rejected without a restart.

    Raises `SettingsError` when the file cannot be used at the start; later everybody is rejected while it cannot.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._seen = _version(file)
        self._accounts = read_accounts(file)

    def identify(self, header: str) -> Account | None:
        """Return the account of an Authorization header (Basic with name and secret, or Bearer), or None."""
        scheme, _, value = header.partition(" ")
        if len(header) > _LONGEST_HEADER:
            return None
        name, secret = None, value.strip()
        if scheme.lower() == "basic":
            try:
                name, colon, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
            except (binascii.Error, ValueError):
                return None
            if not colon:
                return None
        elif scheme.lower() != "bearer":
            return None
        digest = _digest(secret)
        found = None
        for account in self._current():  # all of them, so that the time reveals nothing
            if hmac.compare_digest(account.sha256, digest) and name in (None, account.name):
                found = account
        return found

    def _current(self) -> tuple[Account, ...]:
        with self._lock:
            seen = _version(self._file)
            if seen != self._seen:
                try:
                    self._accounts = read_accounts(self._file)
                except SettingsError:
                    self._accounts = ()
                self._seen = seen
            return self._accounts


def _version(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_mode


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
