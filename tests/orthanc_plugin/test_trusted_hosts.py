# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Debian's Orthanc with the configuration that this project ships: closed but to those who are known."""

from __future__ import annotations

import base64
import http.client
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom import uid
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]

from appliance.errors import UnavailableError
from appliance.settings import Settings
from deploy.local.credentials import with_credentials
from deploy.local.orthanc import PROGRAM, OrthancProcess, template
from deploy.local.ports import free_ports, with_free_ports
from deploy.local.storescu import send
from tests.orthanc_plugin.listener import eventually
from tests.orthanc_plugin.small_ct import small_series

pytestmark = pytest.mark.end_to_end


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """An Orthanc as `make up` starts it."""
    folder = tmp_path_factory.mktemp("closed")
    settings = with_free_ports(Settings(), folder)
    service = settings.service.model_copy(update={"trusted_hosts": ("box.hospital.example", "fd00::7")})
    with OrthancProcess(
        with_credentials(settings.model_copy(update={"service": service})), folder / "orthanc", doorbell=False
    ) as running:
        yield running


def status(orthanc: OrthancProcess, method: str, path: str, **headers: str) -> int:
    """Send a request with the right password and return its status; a header of no value is left out."""
    user = orthanc.settings.orthanc
    password = "Basic " + base64.b64encode(f"{user.username}:{user.password}".encode()).decode()
    port = int(orthanc.url.rpartition(":")[2])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest(method, path, skip_host=True)
        sent = {"Host": f"127.0.0.1:{port}", "Authorization": password} | {
            name.replace("_", "-"): value.replace("PORT", str(port)) for name, value in headers.items()
        }
        for name, value in sent.items():
            if value:
                connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_nobody_is_let_in_without_the_password(orthanc: OrthancProcess) -> None:
    assert status(orthanc, "GET", "/system") == 200
    for method, path in (("GET", "/system"), ("GET", "/app/explorer.html"), ("POST", "/tools/shutdown")):
        assert status(orthanc, method, path, Authorization="") == 401
        assert status(orthanc, method, path, Authorization="Basic b3J0aGFuYzpvcnRoYW5j") == 401  # orthanc:orthanc


@pytest.mark.parametrize("host", ["localhost:PORT", "LOCALHOST", "[::1]:PORT", "box.hospital.example", "[fd00::7]:1"])
def test_a_request_to_a_name_of_ours_is_answered(orthanc: OrthancProcess, host: str) -> None:
    assert status(orthanc, "GET", "/system", Host=host) == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:PORT", "127.0.0.1.evil.example", "127.0.0.2:PORT", "box.hospital.example.evil", ""],
)
def test_a_request_to_another_name_is_turned_down(orthanc: OrthancProcess, host: str) -> None:
    assert status(orthanc, "GET", "/system", Host=host) == 403
    assert status(orthanc, "GET", "/app/explorer.html", Host=host) == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://[::1", "http://127.0.0.1", "https://"])
def test_what_a_page_of_another_site_posts_is_turned_down(orthanc: OrthancProcess, origin: str) -> None:
    for method, path in (("POST", "/tools/shutdown"), ("POST", "/tools/reset"), ("DELETE", "/studies/x")):
        assert status(orthanc, method, path, Origin=origin) == 403
    assert status(orthanc, "GET", "/system") == 200  # it runs on
    assert status(orthanc, "DELETE", "/studies/x", Origin="http://127.0.0.1:PORT") == 404
    assert status(orthanc, "DELETE", "/studies/x") == 404


def test_an_image_on_a_page_cannot_delete_a_study(orthanc: OrthancProcess) -> None:
    browser = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"
    assert status(orthanc, "GET", "/studies/x?_method=DELETE", User_Agent=browser) == 403
    assert status(orthanc, "GET", "/studies/x", User_Agent=browser) == 404
    assert status(orthanc, "DELETE", "/studies/x", Sec_Fetch_Site="cross-site") == 403


def test_only_known_senders_are_taken_and_only_from_where_they_are(orthanc: OrthancProcess, tmp_path: Path) -> None:
    files = small_series(tmp_path, 2)
    assert send(files, orthanc.settings.orthanc) == 2
    here, port, title = "127.0.0.1", str(orthanc.dicom_port), orthanc.aet
    calls = {
        "a stranger's title": ["-aet", "STRANGER", "-aec", title, here, port],
        "a wrong title of ours": ["-aet", "SCANNER", "-aec", "ANY-SCP", here, port],
        "another address of a known sender": ["-aet", "SCANNER", "-aec", title, "127.0.0.2", port],
    }
    for who, call in calls.items():
        for program, arguments in (("storescu", [str(files[0])]), ("echoscu", [])):
            done = subprocess.run([program, *call, *arguments], capture_output=True, text=True, check=False)
            # To 127.0.0.2 Linux connects from 127.0.0.1, which is the sender's own: only strangers are turned down.
            expected = who.startswith("another")
            assert (done.returncode == 0) is expected, (who, program, done.stderr)


def test_a_sender_of_the_site_is_known_by_title_and_address(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    senders = ("CT1@127.0.0.1", "CT2@192.0.2.9")
    site = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update={"senders": senders})})
    with OrthancProcess(site, tmp_path / "orthanc", doorbell=False) as orthanc:
        for title, answer in (("CT1", 0), ("CT2", 1), ("CT3", 1)):
            call = ["echoscu", "-aet", title, "-aec", orthanc.aet, "127.0.0.1", str(orthanc.dicom_port)]
            assert subprocess.run(call, capture_output=True, check=False).returncode == answer, title


def test_everybody_may_send_where_a_site_says_so(tmp_path: Path) -> None:
    settings = with_free_ports(Settings(), tmp_path)
    site = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update={"senders": ("*",)})})
    with OrthancProcess(site, tmp_path / "orthanc", doorbell=False) as orthanc:
        call = ["echoscu", "-aet", "ANYBODY", "-aec", orthanc.aet, "127.0.0.1", str(orthanc.dicom_port)]
        assert subprocess.run(call, capture_output=True, check=False).returncode == 0


def test_images_are_taken_in_every_transfer_syntax_of_ct_but_not_deflated(orthanc: OrthancProcess) -> None:
    jpip_deflated = {uid.UID(f"1.2.840.10008.1.2.4.{number}") for number in (95, 205)}
    deflated = {uid.DeflatedExplicitVRLittleEndian, *jpip_deflated}
    of_ct = {uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian, uid.RLELossless}
    of_ct |= {*uid.JPEGTransferSyntaxes, *uid.JPEGLSTransferSyntaxes, uid.JPEG2000Lossless, uid.JPEG2000}
    entity = AE(ae_title="SCANNER")
    for syntax in deflated | of_ct:
        entity.add_requested_context(CTImageStorage, syntax)
    association = entity.associate("127.0.0.1", orthanc.dicom_port, ae_title=orthanc.aet)
    accepted = {context.transfer_syntax[0] for context in association.accepted_contexts}
    association.release()
    assert accepted == of_ct


def test_the_shipped_configuration_lets_nobody_in_before_a_site_opens_it(tmp_path: Path) -> None:
    dicom, web = free_ports(2)
    shipped = template() | {"DicomPort": dicom, "HttpPort": web, "Plugins": [], "LuaScripts": []}
    shipped |= {"StorageDirectory": str(tmp_path / "storage"), "IndexDirectory": str(tmp_path / "storage")}
    settings = with_free_ports(Settings(), tmp_path)
    ports = {"url": f"http://127.0.0.1:{web}", "dicom_port": dicom}
    settings = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update=ports)})
    closed = OrthancProcess(settings, tmp_path / "orthanc", doorbell=False, overrides=shipped)
    closed.launch()
    try:
        assert eventually(lambda: is_listening(web) and is_listening(dicom))
        with pytest.raises(UnavailableError):
            closed.wait(1)
        assert status(closed, "GET", "/system", Authorization="Basic b3J0aGFuYzpvcnRoYW5j") == 401
        with pytest.raises(UnavailableError, match="storescu"):
            send(small_series(tmp_path / "series", 1), settings.orthanc)
    finally:
        closed.stop()


def test_the_shipped_configuration_listens_on_loopback_where_orthanc_can(orthanc: OrthancProcess) -> None:
    version = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
    can_bind = tuple(int(part) for part in version.split(".")[:3]) >= (1, 12, 10)
    port = int(orthanc.url.rpartition(":")[2])
    with socket.socket() as probe:
        probe.settimeout(5)
        # 127.0.0.2 is loopback too, and stands here for any other address of the machine.
        assert (probe.connect_ex(("127.0.0.2", port)) != 0) is can_bind
