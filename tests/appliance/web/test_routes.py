# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Every route of the running service, over its socket, asked soundly and in every odd way: it answers, and goes on.

`tests/fuzz` asks the application without a server; here the server, its parser and its threads are in between.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydicom.uid import generate_uid
from starlette.routing import Route

from appliance.settings import Settings
from deploy.local.ports import with_free_ports
from tests.appliance.running import Running
from tests.appliance.stand_in import head_series
from tests.appliance.web.site import OTHER, SERIES, Site

PATIENCE_S, SHORT_S = 60.0, 0.2
METHODS = ("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT", "get", "GE T", "\x00")
ANSWERED = {
    "/doorbell": 204,
    f"/series/{SERIES}/analyze": 404,
    f"/studies/{SERIES}": 404,
    f"/studies/{SERIES}/answers/1/opinion": 415,
    f"/studies/{SERIES}/answers/1/key-images/1.png": 404,
    "/deliveries/1/retry": 415,
    "/deliveries/1/drop": 415,
}
"""What a sound request to a route is answered with; 200 unless it stands here. Orthanc holds no such series or study,
and JSON is no form."""
FORESEEN = {200, 202, 204, 303, 400, 403, 404, 405, 409, 413, 414, 415, 421, 422, 429, 431}
"""What a request may be answered with while the service is well."""


@pytest.fixture
def running(settings: Settings, tmp_path: Path) -> Iterator[Running]:
    own = with_free_ports(settings, tmp_path / "state").model_copy(update={"orthanc": settings.orthanc})
    service = Running(own, tmp_path, "[ledger]\nlease_s = 60\n")
    service.start()
    try:
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.process.kill()
            service.process.wait()


def routes(folder: Path) -> list[tuple[str, str]]:
    """Return each path of the service with each method of it."""
    listed = Site(folder).client.app.routes  # type: ignore[attr-defined]
    return [
        (re.sub(r"\{\w+\}", "1", route.path.replace("{series}", SERIES).replace("{study}", SERIES)), method)
        for route in listed
        if isinstance(route, Route)
        for method in sorted(route.methods or ())
    ]


def ask(running: Running, request: bytes, *, is_whole: bool = True) -> int:
    """Return the status of the first answer to some bytes, 0 when there is none.

    Unless the request `is_whole`, the server may wait for more of it: it is told after a while that nothing comes.
    """
    answer = b""
    with socket.create_connection(_address(running), PATIENCE_S) as connection:
        connection.settimeout(PATIENCE_S if is_whole else SHORT_S)
        try:
            connection.sendall(request)
            while part := _receive(connection):
                answer += part
        except (ConnectionResetError, BrokenPipeError):  # it need not hear a request to its end
            pass
    answer = re.sub(rb"^HTTP/1\.1 100 [^\r]*\r\n(?:[^\r\n]+\r\n)*\r\n", b"", answer)  # "go on" is no answer yet
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", answer)
    assert found or not answer, answer[:80]
    return int(found[1]) if found else 0


def _address(running: Running) -> tuple[str, int]:
    return "127.0.0.1", running.settings.service.port


def _receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(2**16)
    except TimeoutError:
        assert connection.gettimeout() == SHORT_S, "no answer to a whole request"
        connection.settimeout(PATIENCE_S)
        connection.shutdown(socket.SHUT_WR)
        return connection.recv(2**16)


def request_of(method: str, path: str, body: bytes = b"", host: str = "127.0.0.1") -> bytes:
    ours = f"Origin: http://{host}\r\n" if method == "POST" else ""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{ours}Connection: close\r\n"
        f"Content-Length: {len(body)}\r\n\r\n".encode()
        + body
    )


PATHS = st.sampled_from(
    [
        "/",
        "/board?group=found&after=",
        "/queue",
        "/deliveries?before=",
        "/neighbours",
        "/model",
        "/log?study=",
        "/static/board.js",
        f"/studies/{OTHER}",
        f"/studies/{OTHER}/answers/1/opinion",
        f"/studies/{OTHER}/answers/1/key-images/1.png",
        "/deliveries/1/drop",
        *["/doorbell"] * 4,  # its rings are odd in more ways than one
        "/status",
        "/metrics",
        "/health/live",
        "/health/ready",
        f"/series/{OTHER}/analyze",
        "/series/",
    ]
)
ODD_TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=40)
ODD_BYTES = st.binary(max_size=200)
RINGS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=45), inner, max_size=4),
    max_leaves=12,
)


ODDITIES = ("method", "path", "query", "ring", "body", "length", "host", "header", "version")


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, bool]:
    """A request that is odd in up to three ways, at times bytes that are none, and whether it is sure to be whole."""
    if draw(st.integers(0, 19)) == 0:
        return draw(ODD_BYTES), False
    odd = draw(st.sets(st.sampled_from(ODDITIES), max_size=3))
    path = draw(PATHS)
    posted = path == "/doorbell" or path.startswith("/series") or path.endswith(("/opinion", "/drop"))
    method = "POST" if posted else "GET"
    body = draw(RINGS.map(_as_json)) if "ring" in odd else b"{}"
    if "body" in odd:
        body = draw(RINGS.map(repr).map(str.encode) | ODD_BYTES)
    length = draw(st.integers(-5, 10**20).map(str) | ODD_TEXT) if "length" in odd else str(len(body))
    headers = [("Host", draw(ODD_TEXT) if "host" in odd else "127.0.0.1"), ("Content-Length", length)]
    headers.append(("Connection", "close"))
    if "header" in odd:
        names = st.sampled_from(
            ["Transfer-Encoding", "Authorization", "Origin", "Expect", "Upgrade", "Cookie", "X-Odd"]
        )
        values = st.sampled_from(["chunked", "Basic !!", "Bearer x", "null", "100-continue", "websocket"]) | ODD_TEXT
        headers += draw(st.lists(st.tuples(names, values), min_size=1, max_size=4))
    if "method" in odd:
        method = draw(st.sampled_from(METHODS))
    if "path" in odd:
        path += draw(ODD_TEXT)
    if "query" in odd:
        path += f"?{draw(st.sampled_from(['limit', 'study', 'x', '']))}={draw(ODD_TEXT)}"
    version = draw(st.sampled_from(["HTTP/1.0", "HTTP/2", "HTTP/9.9", ""])) if "version" in odd else "HTTP/1.1"
    head = "".join(f"{name}: {value}\r\n" for name, value in draw(st.permutations(headers)))
    is_whole = not odd & {"method", "path", "query", "length", "host", "header", "version"}
    return f"{method} {path} {version}\r\n{head}\r\n".encode("latin1") + body, is_whole


def _as_json(value: object) -> bytes:
    return json.dumps({"instances": value, "series": {OTHER: "stable"}, "studies": value, "orthanc": None}).encode()


def test_every_route_answers_and_no_odd_request_keeps_the_service_from_its_next_study(
    running: Running, tmp_path: Path
) -> None:
    (tmp_path / "site").mkdir()
    known = routes(tmp_path / "site")
    assert len({path for path, _ in known}) == 18
    for path, method in known:
        body = b"{}" if method == "POST" else b""
        assert ask(running, request_of(method, path, body)) == ANSWERED.get(path, 200)
        assert ask(running, request_of(method, path, body, host="elsewhere.example")) == 421
        for other in {"GET", "POST", "HEAD", "PUT", "DELETE", "PATCH", "TRACE", "get"} - {
            known_method for known_path, known_method in known if known_path == path
        }:
            assert ask(running, request_of(other, path)) == 405

    half = request_of("POST", "/doorbell", b"{}").removesuffix(b"}")
    ask(running, half, is_whole=False)  # as of an Orthanc that is killed in the middle of a ring

    statuses: set[int] = set()

    @hypothesis_settings(
        max_examples=250, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(request=requests())
    def ask_oddly(request: tuple[bytes, bool]) -> None:
        status = ask(running, request[0], is_whole=request[1])
        statuses.add(status)
        assert status == 0 or status in FORESEEN, (status, request)

    ask_oddly()
    assert {200, 204, 400, 404} <= statuses, statuses  # the odd ones reach further than the parser
    assert running.process is not None
    assert running.process.poll() is None
    assert running.get("/health/ready")["ready"]
    assert running.get("/health/live")["live"]
    study = str(generate_uid())
    for file in head_series(study):
        running.orthanc.store(file)
    running.until_state(study, "done")
    assert [line for line in running.lines() if line["level"] in ("error", "critical")] == []
