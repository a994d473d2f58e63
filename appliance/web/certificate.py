# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate that the service shows to others, read again when its files change."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Self

from appliance.errors import SettingsError
from appliance.settings import AccessSettings


class Certificate:
    """A certificate with its chain and its key, both PEM files, for TLS 1.2 and newer. Raises `SettingsError`.

    Attributes
    ----------
    context
        What a server needs of it.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        self._files = (certificate, key)
        self.context = _context()
        self._seen = self._versions()
        self._load()

    @classmethod
    def of(cls, settings: AccessSettings) -> Self | None:
        """Return the certificate of the settings, None where there is none. Raises `SettingsError`."""
        if settings.certificate is None or settings.key is None:
            return None
        return cls(settings.certificate, settings.key)

    def renew(self) -> bool:
        """Read files that changed: connections from now on get the new ones. Return whether they had changed.

        Raises `SettingsError` when the new ones cannot be used; the old ones stay in use.
        """
        seen = self._versions()
        if seen == self._seen:
            return False
        self._load()
        self._seen = seen
        return True

    def _load(self) -> None:
        certificate, key = self._files
        try:
            # Tried on another context first: a load that fails would leave this one with half of a pair.
            for context in (_context(), self.context):
                context.load_cert_chain(certificate, key, _no_password)
        except OSError as error:
            raise SettingsError(
                f"access.certificate = {certificate}, access.key = {key}: cannot be used "
                f"({error.strerror or type(error).__name__}); PEM files of a certificate and of its key without a "
                "passphrase belong there, readable by the user of the service"
            ) from error

    def _versions(self) -> list[tuple[int, int] | None]:
        found: list[tuple[int, int] | None] = []
        for file in self._files:
            try:
                at = file.stat()
                found.append((at.st_ino, at.st_mtime_ns))
            except OSError:
                found.append(None)
        return found


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password(*_: Any) -> str:
    return ""  # instead of asking whoever sits at the terminal
