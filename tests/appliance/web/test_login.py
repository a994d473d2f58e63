# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What others than this machine get from the service: over TLS, by account and role."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from appliance.errors import SettingsError, UnavailableError
from appliance.web import listener as listener_module
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.certificate import Certificate
from appliance.web.listener import Listener, listen
from appliance.web.login import Login
from tests.appliance.running import until
from tests.appliance.web.site import SERIES, Site
from tests.certificates import Authority

HERE = "http://127.0.0.1:8443"


class Outside:
    """The application as others see it, with an account that may look and one that may act."""

    def __init__(self, folder: Path) -> None:
        self.site = Site(folder)
        pairs = {role: new_account(role.value, role) for role in Role}
        write_accounts(folder / "accounts.toml", [account for account, _ in pairs.values()])
        self.secrets = {role: secret for role, (_, secret) in pairs.items()}
        inner: ASGIApp = self.site.client.app
        self.app = Login(inner, Accounts(folder / "accounts.toml"), self.site.metrics, self.site.looks)
        self.client = TestClient(self.app, base_url=HERE)

    def ask(self, method: str, path: str, role: Role | None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.secrets[role]}"} if role else {}
        return self.client.request(method, path, headers=headers, content=b"{}" if method == "POST" else None)


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    made = Outside(tmp_path)
    yield made
    made.site.ledger.close()


ANALYZE = f"/series/{SERIES}/analyze"


@pytest.mark.parametrize("path", ["/", "/status", "/metrics", "/docs", "/health", "//", "/health/live/x"])
def test_without_an_account_nothing_is_shown_and_nothing_taken(outside: Outside, path: str) -> None:
    for method in ("GET", "HEAD", "POST", "OPTIONS", "DELETE"):
        answer = outside.ask(method, path, None)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic")
    assert outside.ask("POST", "/health/live", None).status_code == 401
    assert outside.ask("POST", "/doorbell", None).status_code == 401
    assert outside.ask("POST", ANALYZE, None).status_code == 401


def test_who_may_look_sees_all_and_who_may_act_acts(outside: Outside) -> None:
    for path in ("/", "/status", "/metrics"):
        assert outside.ask("GET", path, Role.LOOK).status_code == 200
        assert outside.ask("GET", path, Role.ACT).status_code == 200
    assert outside.ask("POST", ANALYZE, Role.LOOK).status_code == 403
    assert outside.ask("POST", "/doorbell", Role.LOOK).status_code == 403
    assert outside.ask("POST", ANALYZE, Role.ACT).status_code == 202
    assert outside.ask("POST", "/doorbell", Role.ACT).status_code == 204
    told = outside.ask("GET", "/metrics", Role.LOOK).text
    assert 'hemorrhage_requests_turned_away_total{why="role"} 2.0' in told


def test_prometheus_account_reads_the_metrics_and_sees_no_patient(outside: Outside) -> None:
    for path in ("/metrics", "/health/ready", "/health/live"):
        assert outside.ask("GET", path, Role.METRICS).status_code == 200
    for path in ("/", "/status", "/log", f"/studies/{SERIES}", "/static/style.css"):
        assert outside.ask("GET", path, Role.METRICS).status_code == 403
    assert outside.ask("POST", "/doorbell", Role.METRICS).status_code == 403


def test_what_colleagues_looked_at_is_not_shown_to_an_account_that_may_only_look(outside: Outside) -> None:
    for method in ("GET", "HEAD"):
        assert outside.ask(method, "/log", Role.LOOK).status_code == 403
    assert outside.ask("GET", "/log?study=1.2", Role.LOOK).status_code == 403
    assert outside.ask("GET", "/log", Role.ACT).status_code == 200
    assert 'href="/log' not in outside.ask("GET", "/", Role.LOOK).text
    assert 'href="/log' in outside.ask("GET", "/", Role.ACT).text


def test_two_accounts_at_once_are_none(outside: Outside) -> None:
    both = [("Authorization", f"Bearer {secret}") for secret in outside.secrets.values()]
    assert outside.client.get("/status", headers=both).status_code == 401


def test_health_is_told_to_everybody_and_its_reasons_to_those_with_an_account(outside: Outside) -> None:
    outside.site.faults["orthanc"] = UnavailableError("Orthanc at 10.0.0.7 is away")
    outside.site.health.ask()
    outside.site.ended.append("intake")
    for path in ("/health/ready", "/health/live"):
        stranger, known = outside.ask("GET", path, None), outside.ask("GET", path, Role.LOOK)
        assert stranger.status_code == known.status_code == 503
        assert "10.0.0.7" not in stranger.text
        assert "intake" not in stranger.text
    assert "10.0.0.7" in outside.ask("GET", "/health/ready", Role.LOOK).text


def test_a_page_of_another_site_cannot_use_the_account_that_a_browser_keeps(outside: Outside) -> None:
    headers = {"Authorization": f"Bearer {outside.secrets[Role.ACT]}", "Origin": "http://evil.example"}
    assert outside.client.post(ANALYZE, headers=headers).status_code == 403


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "hospital")


@contextmanager
def listening(outside: Outside, certificate: Certificate | None = None) -> Iterator[int]:
    """Run a real listener, and yield its port."""
    sock = listen("127.0.0.1", 0, "access")
    server = Listener(outside.app, sock, certificate)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield sock.getsockname()[1]
    finally:
        server.stop()
        thread.join()
        sock.close()


@pytest.fixture
def certificate(authority: Authority) -> Certificate:
    pair = authority.sign("box")
    return Certificate(pair.certificate, pair.key)


@pytest.fixture
def served(outside: Outside, certificate: Certificate) -> Iterator[tuple[int, Certificate]]:
    """The port of a real listener with a certificate."""
    with listening(outside, certificate) as port:
        yield port, certificate


def serial(port: int, authority: Authority) -> str:
    """The serial number of the certificate that is shown on a port."""
    context = ssl.create_default_context(cafile=str(authority.pair.certificate))
    with (
        socket.create_connection(("127.0.0.1", port), timeout=20) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        found = secure.getpeercert()
        assert found is not None
        return str(found["serialNumber"])


def test_over_tls_the_account_is_let_in_and_in_the_clear_nobody_gets_an_answer(
    served: tuple[int, Certificate], outside: Outside, authority: Authority
) -> None:
    port, certificate = served
    assert certificate.context.minimum_version is ssl.TLSVersion.TLSv1_2
    headers = {"Authorization": f"Bearer {outside.secrets[Role.LOOK]}"}
    trusting = ssl.create_default_context(cafile=str(authority.pair.certificate))
    with httpx.Client(base_url=f"https://127.0.0.1:{port}", verify=trusting, trust_env=False) as client:
        assert client.get("/status", headers=headers).status_code == 200
        assert client.get("/status").status_code == 401
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{port}/status", headers=headers, trust_env=False)


def test_a_renewed_certificate_is_shown_without_a_restart_and_a_broken_one_never(
    served: tuple[int, Certificate], authority: Authority
) -> None:
    port, certificate = served
    before = serial(port, authority)
    assert certificate.renew() is False
    authority.sign("box")
    assert certificate.renew() is True
    after = serial(port, authority)
    assert after != before
    authority.pair.certificate.with_name("box.key").write_text("no key")
    with pytest.raises(SettingsError, match=r"access\.key"):
        certificate.renew()
    assert serial(port, authority) == after


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def test_who_connects_and_sends_nothing_is_let_go(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listener_module, "PATIENCE_S", 0.3)
    with listening(outside) as port:
        idle = [connect(port) for _ in range(listener_module.MOST_CONNECTIONS + 40)]
        half = connect(port)
        half.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        assert half.recv(100) == b""
        assert [one.recv(1) for one in idle] == [b""] * len(idle)
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).status_code == 200


def test_who_begins_a_second_request_and_does_not_end_it_is_let_go(
    outside: Outside, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "PATIENCE_S", 0.5)
    with listening(outside) as port:
        held = []
        for _ in range(listener_module.MOST_CONNECTIONS):
            one = connect(port)
            held.append(one)
            one.sendall(b"GET /health/live HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert one.recv(4096).startswith(b"HTTP/1.1 200")
            one.sendall(b"G")
        for one in held:
            while one.recv(4096):  # until the listener ends the connection
                pass
        assert httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False).status_code == 200


def test_handshakes_that_do_not_end_take_few_descriptors(
    outside: Outside, certificate: Certificate, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "PATIENCE_S", 600.0)  # nobody is let go here: only then are counts exact
    monkeypatch.setattr(listener_module, "MOST_CONNECTIONS", 8)
    with listening(outside, certificate) as port:
        idle = [connect(port) for _ in range(60)]
        until(lambda: count_accepted(port) >= 8, "as many connections as may be open")
        for _ in range(10):
            time.sleep(0.05)
            assert count_accepted(port) == 8
        for one in idle:
            one.close()
        assert serial(port, authority)


def test_handshakes_that_do_not_end_are_let_go(
    outside: Outside, certificate: Certificate, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "PATIENCE_S", 0.5)
    monkeypatch.setattr(listener_module, "MOST_CONNECTIONS", 8)
    with listening(outside, certificate) as port:
        idle = [connect(port) for _ in range(60)]
        assert [one.recv(1) for one in idle] == [b""] * len(idle)
        assert serial(port, authority)


def count_accepted(port: int) -> int:
    """Return how many connections to a port have a file descriptor; those that wait have no inode (Linux, proc(5))."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" and row[9] != "0" for row in rows)


def test_what_cannot_be_a_certificate_stops_the_start(tmp_path: Path, authority: Authority) -> None:
    pair, other = authority.sign("box"), authority.sign("other")
    for certificate, key in (
        (pair.certificate, other.key),
        (pair.certificate, tmp_path / "none.key"),
        (tmp_path / "none.crt", pair.key),
        (pair.key, pair.key),
    ):
        with pytest.raises(SettingsError, match=r"access\.certificate = .*cannot be used"):
            Certificate(certificate, key)
