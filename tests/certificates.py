# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of an authority of our own, made by the openssl program for a test and good for a day."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """PEM files of a certificate and of its key."""

    certificate: Path
    key: Path


class Authority:
    """An authority that signs certificates; its files lie in `folder`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self.pair = Pair(folder / f"{name}.crt", folder / f"{name}.key")
        _openssl(
            *("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={name}"),
            *("-keyout", self.pair.key, "-out", self.pair.certificate),
        )

    def sign(self, name: str, address: str = "127.0.0.1") -> Pair:
        """Return a new certificate for a machine called `name` at `address`, with its key."""
        pair = Pair(self._folder / f"{name}.crt", self._folder / f"{name}.key")
        request, extensions = self._folder / f"{name}.csr", self._folder / f"{name}.ext"
        _openssl(
            *("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", pair.key, "-out", request),
        )
        extensions.write_text(f"subjectAltName=IP:{address},DNS:{name}\n")
        _openssl(
            *("x509", "-req", "-days", "1", "-in", request, "-extfile", extensions, "-CAcreateserial"),
            *("-CA", self.pair.certificate, "-CAkey", self.pair.key, "-out", pair.certificate),
        )
        return pair


def _openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
