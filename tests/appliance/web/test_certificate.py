# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The certificate that others are shown says when it ends, as the openssl program reads it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from appliance.web.certificate import Certificate, _expires
from tests.certificates import Authority, Pair


def end_by_openssl(certificate: Path) -> float:
    told = subprocess.run(
        ["openssl", "x509", "-noout", "-enddate", "-in", certificate], capture_output=True, text=True, check=True
    ).stdout
    return datetime.strptime(told.strip(), "notAfter=%b %d %H:%M:%S %Y %Z").replace(tzinfo=UTC).timestamp()


def test_it_ends_when_openssl_says_and_its_successor_later(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.sign("box")
    chain = tmp_path / "chain.crt"
    chain.write_text(pair.certificate.read_text() + authority.pair.certificate.read_text())
    certificate = Certificate(chain, pair.key)
    assert certificate.expires == end_by_openssl(pair.certificate)
    later = long_lived(tmp_path, 365 * 40)
    chain.write_bytes(later.certificate.read_bytes())
    pair.key.write_bytes(later.key.read_bytes())
    assert certificate.renew()
    assert certificate.expires == end_by_openssl(later.certificate)


def long_lived(folder: Path, days: int) -> Pair:
    """Return a pair that outlives 2049, after which certificates tell the time in another form."""
    pair = Pair(folder / "long.crt", folder / "long.key")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(days), "-subj", "/CN=box"]
    subprocess.run([*command, "-keyout", pair.key, "-out", pair.certificate], capture_output=True, check=True)
    return pair


@pytest.mark.parametrize("length", [0, 40, 120, 400])
def test_a_certificate_that_is_cut_off_says_nothing(tmp_path: Path, length: int) -> None:
    text = long_lived(tmp_path, 1).certificate.read_text()
    assert _expires(text[:length] + "\n-----END CERTIFICATE-----\n") is None
