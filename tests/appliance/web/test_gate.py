# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""No foreign name and no foreign page gets anything out of the service or into it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from appliance.web.gate import LOOPBACK, Gate, host_name

HERE = "http://localhost:8044"


def behind(*trusted: str) -> Starlette:
    """An application of which every answer means that the gate let the request pass."""

    async def passed(_request: Request) -> Response:
        return PlainTextResponse("passed")

    routes = [Route("/", passed, methods=["GET", "POST", "DELETE", "PUT"])]
    return Starlette(routes=routes, middleware=[Middleware(Gate, trusted=(*LOOPBACK, *trusted))])


@pytest.fixture
def client() -> TestClient:
    return TestClient(behind("box.hospital.example"), base_url=HERE, raise_server_exceptions=True)


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8044", "LOCALHOST:8044", "127.0.0.1:8044", "[::1]:8044", "box.hospital.example:1"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_to_a_name_of_ours_passes(client: TestClient, host: str, method: str) -> None:
    assert client.request(method, "/", headers={"Host": host}).text == "passed"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8044",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evilhospital.example",
        "10.9.9.9",
        "[fe80::1]:8044",
        "localhost.",
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "DELETE"])
def test_a_request_to_another_name_is_misdirected(client: TestClient, host: str, method: str) -> None:
    assert client.request(method, "/", headers={"Host": host}).status_code == 421


@pytest.mark.parametrize(
    "host", ["", "http://localhost", "[::1", "::1]", "localhost:port", "localhost:99999", "me@localhost", "localhost/x"]
)
def test_a_request_to_what_is_no_host_is_a_bad_one(client: TestClient, host: str) -> None:
    assert client.get("/", headers={"Host": host}).status_code == 400


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "http://localhost:8043",
        "http://localhost",
        "null",
        "",
        "http://[::1",
        "http://localhost:8044@evil.example",
        "http://evil.example/localhost:8044",
        "http://localhost:8044/",
        "file://localhost:8044",
        "http://localhost:8044?x",
        "http://localhost:8044#x",
        "http:localhost:8044",
        "http://me@localhost:8044",
        "http://localhost:8044, http://evil.example",
        "http://\x7f",
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_what_a_page_of_another_site_sends_is_turned_down_and_never_a_fault(
    client: TestClient, origin: str, method: str
) -> None:
    assert client.request(method, "/", headers={"Origin": origin}).status_code == 403


def test_what_a_browser_says_comes_from_another_site_is_turned_down_without_an_origin_too(client: TestClient) -> None:
    assert client.post("/", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post("/", headers={"Sec-Fetch-Site": "same-site"}).status_code == 403
    assert client.post("/", headers={"Sec-Fetch-Site": "same-origin", "Origin": HERE}).text == "passed"


def test_of_two_words_on_where_it_comes_from_the_worse_is_believed(client: TestClient) -> None:
    told = [("Sec-Fetch-Site", "same-origin"), ("Sec-Fetch-Site", "cross-site")]
    assert client.post("/", headers=told).status_code == 403


def test_a_page_of_ours_and_a_program_may_send_and_any_page_may_link_to_us(client: TestClient) -> None:
    assert client.post("/", headers={"Origin": HERE}).text == "passed"
    assert client.post("/").text == "passed"
    assert client.get("/", headers={"Origin": "http://evil.example"}).text == "passed"


def test_of_two_hosts_none_is_believed() -> None:
    assert host_name("localhost,evil.example") == "localhost,evil.example"  # no name that anybody trusts
    with TestClient(behind(), base_url=HERE) as client:
        answer = client.get("/", headers=[("Host", "localhost"), ("Host", "evil.example")])
        assert answer.status_code == 400


@pytest.fixture
def listening() -> Iterator[int]:
    """The port of a real server on all addresses."""
    sock = socket.create_server(("0.0.0.0", 0))
    server = uvicorn.Server(uvicorn.Config(behind(), log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
    thread.start()
    yield sock.getsockname()[1]
    server.should_exit = True
    thread.join()


def test_the_address_that_a_request_arrives_at_is_trusted_and_no_other(listening: int) -> None:
    for host, status in (("127.0.0.2", b"200"), ("127.0.0.3", b"421"), ("evil.example", b"421")):
        with socket.create_connection(("127.0.0.2", listening), timeout=60) as connection:
            connection.sendall(f"GET / HTTP/1.1\r\nHost: {host}:{listening}\r\nConnection: close\r\n\r\n".encode())
            assert connection.recv(100).split()[1] == status
