# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Debian's Orthanc with the lines on DICOM TLS of the configuration that this project ships."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.doctor.c_echo import check_c_echo
from appliance.settings import Settings
from deploy.local.orthanc import TEMPLATE, OrthancProcess
from deploy.local.ports import with_free_ports
from tests.certificates import Authority, Pair
from tests.orthanc_plugin.small_ct import small_series

pytestmark = pytest.mark.end_to_end


def tls_lines() -> dict[str, Any]:
    """The settings in the lines that a site takes the slashes away from."""
    lines = re.findall(r"^\s*//TLS (.*?),?$", TEMPLATE.read_text(), flags=re.MULTILINE)
    settings: dict[str, Any] = json.loads("{" + ",".join(lines) + "}")
    return settings


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("hospital"))


@pytest.fixture(scope="module")
def scanner(hospital: Authority) -> Pair:
    return hospital.sign("scanner")


@pytest.fixture(scope="module")
def orthanc(hospital: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    folder = tmp_path_factory.mktemp("orthanc")
    own = hospital.sign("orthanc")
    files = {
        "DicomTlsCertificate": str(own.certificate),
        "DicomTlsPrivateKey": str(own.key),
        "DicomTlsTrustedCertificates": str(hospital.pair.certificate),
    }
    lines = tls_lines()
    assert set(files) < set(lines)
    settings = with_free_ports(Settings(), folder)
    with OrthancProcess(settings, folder, doorbell=False, overrides=lines | files) as running:
        yield running


def storescu(orthanc: OrthancProcess, files: list[Path], *options: str | Path) -> bool:
    """Say whether storescu could send the files."""
    to = ("-aet", "SCANNER", "-aec", orthanc.aet, "127.0.0.1", str(orthanc.dicom_port))
    done = subprocess.run(
        ["storescu", "--required", *map(str, options), *to, *map(str, files)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode == 0 and "F:" not in done.stdout + done.stderr


def test_a_scanner_with_a_certificate_of_the_hospital_sends_over_tls(
    orthanc: OrthancProcess, hospital: Authority, scanner: Pair, tmp_path: Path
) -> None:
    files = small_series(tmp_path, 3)
    assert storescu(orthanc, files, "+tls", scanner.key, scanner.certificate, "+cf", hospital.pair.certificate)
    with orthanc.client() as client:
        assert len(client.get("/instances").json()) == 3


def test_nobody_sends_in_the_clear_without_a_certificate_or_with_one_of_another_authority(
    orthanc: OrthancProcess, hospital: Authority, tmp_path: Path
) -> None:
    files = small_series(tmp_path, 1)
    stranger = Authority(tmp_path / "elsewhere", "stranger").sign("scanner")
    with orthanc.client() as client:
        before = set(client.get("/instances").json())
        assert not storescu(orthanc, files)
        assert not storescu(orthanc, files, "+tla", "+cf", hospital.pair.certificate)
        assert not storescu(
            orthanc, files, "+tls", stranger.key, stranger.certificate, "+cf", hospital.pair.certificate
        )
        assert set(client.get("/instances").json()) == before


def test_the_doctor_asks_over_tls_where_it_is_told_to_and_says_what_to_set_where_not(
    orthanc: OrthancProcess, hospital: Authority, scanner: Pair, tmp_path: Path
) -> None:
    (plain,) = check_c_echo(orthanc.settings)
    assert plain.state == "fail"
    assert "orthanc.dicom_tls_ca" in plain.remedy
    both = tmp_path / "both.pem"
    both.write_text(scanner.certificate.read_text() + scanner.key.read_text())
    told = {"dicom_tls_ca": hospital.pair.certificate, "dicom_tls_certificate": both}
    over_tls = orthanc.settings.orthanc.model_copy(update=told)
    (secure,) = check_c_echo(orthanc.settings.model_copy(update={"orthanc": over_tls}))
    assert (secure.state, secure.what.endswith("answers over TLS")) == ("ok", True)
    broken = over_tls.model_copy(update={"dicom_tls_ca": tmp_path / "none.pem"})
    (missing,) = check_c_echo(orthanc.settings.model_copy(update={"orthanc": broken}))
    assert "dicom_tls_ca" in missing.what
