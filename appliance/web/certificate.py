# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate that the service shows to others, read again when its files change."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from appliance.errors import SettingsError
from appliance.sections.service import AccessSettings


class Certificate:
    """A certificate with its chain and its key, both PEM files, for TLS 1.2 and newer. Raises `SettingsError`.

    Attributes
    ----------
    context
        What a server needs of it.
    expires
        Unix time after which others no longer trust it; None if the file does not state it as certificates do.
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
        """Read files that have changed, for connections from now on. Return whether they had changed.

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
            # Tried on another context first, because a load that fails would leave this one with half of a pair.
            for context in (_context(), self.context):
                context.load_cert_chain(certificate, key, _no_password)
            self.expires = _expires(certificate.read_text(errors="replace"))
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


def _expires(pem: str) -> float | None:
    """Return the end of the validity of the first certificate in PEM text, Unix time.

    The order of fields is that of RFC 5280, 4.1: version (tagged 0, may be absent), serial number, signature, issuer,
    validity.
    """
    begin, end = pem.find("-----BEGIN CERTIFICATE"), pem.find("-----END CERTIFICATE-----")
    try:
        der = ssl.PEM_cert_to_DER_cert(pem[begin:end] + "-----END CERTIFICATE-----")
        _, certificate = next(_elements(der))
        _, body = next(_elements(certificate))
        fields = [element for element in _elements(body) if element[0] != 0xA0]
        _, (tag, told) = _elements(fields[3][1])
        form = "%y%m%d%H%M%SZ" if tag == 0x17 else "%Y%m%d%H%M%SZ"  # UTCTime, GeneralizedTime
        return datetime.strptime(told.decode("ascii"), form).replace(tzinfo=UTC).timestamp()
    except (ValueError, IndexError, StopIteration):
        return None


def _elements(der: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield tag and content of each element of DER, one after the other. Raises `IndexError` if it is cut short."""
    at = 0
    while at < len(der):
        tag, length = der[at], der[at + 1]
        at += 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(der[at : at + size], "big")
            at += size
        if at + length > len(der):
            raise IndexError("cut off")
        yield tag, der[at : at + length]
        at += length


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _no_password(*_: Any) -> str:
    return ""  # instead of a question at the terminal
