# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import gzip
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

import pytest

from appliance.errors import RefusalCode, RefusedError, UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NoOrthancError, NotThereError, OrthancError, TurnedDownError
from appliance.sections.orthanc import OrthancSettings

NOBODY = "00000000-00000000-00000000-00000000-00000000"


class InPlaceOfOrthanc(ThreadingHTTPServer):
    """Stands where Orthanc would, on a free port, while the context lasts."""

    def __init__(self, handler: type[BaseHTTPRequestHandler]) -> None:
        super().__init__(("127.0.0.1", 0), handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def client(self, **settings: int) -> Orthanc:
        return Orthanc(OrthancSettings(url=f"http://127.0.0.1:{self.server_port}", timeout_s=60, **settings))


class LargeAnswers(InPlaceOfOrthanc):
    """Every answer is a JSON list of `size` bytes, cut off after `sent` of them."""

    def __init__(self, size: int, sent: int | None = None, *, packed: bool = False) -> None:
        self.size, self.sent, self.packed, self.written = size, size if sent is None else sent, packed, 0
        super().__init__(_LargeAnswer)


class _LargeAnswer(BaseHTTPRequestHandler):
    server: LargeAnswers

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        body = b"[" + b" " * (self.server.size - 2) + b"]"
        if self.server.packed:
            body = gzip.compress(body)
        self.send_response(200)
        if self.server.packed:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            for start in range(0, min(len(body), self.server.sent), 2**16):
                self.server.written += self.wfile.write(body[start : min(start + 2**16, self.server.sent)])
        self.close_connection = True


def test_an_answer_that_is_longer_than_the_settings_allow_is_broken_off() -> None:
    with LargeAnswers(300 * 2**20) as server:
        orthanc = server.client(largest_answer_mib=2)
        for ask in (orthanc.series_ids, lambda: orthanc.series_of_instance(NOBODY)):
            server.written = 0
            with pytest.raises(OrthancError, match=r"orthanc\.largest_answer_mib = 2"):
                ask()
            assert server.written < 16 * 2**20
        server.written = 0
        with pytest.raises(RefusedError) as refused:
            orthanc.file(NOBODY)
        assert [refusal.code for refusal in refused.value.refusals] == [RefusalCode.TOO_LARGE]
        assert server.written < 16 * 2**20
        assert len(orthanc.file(NOBODY, limit=1000)) == 1000


def test_an_answer_as_long_as_is_allowed_is_taken() -> None:
    with LargeAnswers(2**20) as server:
        orthanc = server.client(largest_answer_mib=1)
        assert orthanc.series_ids() == []
        assert len(orthanc.file(NOBODY)) == 2**20


def test_a_compressed_answer_is_not_unpacked() -> None:
    with LargeAnswers(3 * 2**20, packed=True) as server, pytest.raises(OrthancError, match="compressed"):
        server.client(largest_answer_mib=1).series_ids()


@pytest.mark.parametrize("limit", [None, 2**16])
def test_a_file_that_ends_in_the_middle_is_no_file(limit: int | None) -> None:
    with LargeAnswers(2**20, sent=10_000) as server, pytest.raises(UnavailableError, match="IncompleteRead"):
        server.client().file(NOBODY, limit=limit)


PAGE = b"<html><head><title>404 Not Found</title></head><body>nginx</body></html>"
DESCRIBED = b'{"HttpError": "Not Found", "HttpStatus": 404, "OrthancError": "Unknown resource", "OrthancStatus": 17}'
SYSTEM = b'{"ApiVersion": 17, "Version": "1.10.1"}'


class Answering(InPlaceOfOrthanc):
    """Answers every request with one status and body.

    With a `system`, it answers the question for that as Orthanc does; `asked` are the paths that were asked for, and
    `kind` is the media type of all answers.
    """

    def __init__(self, status: int, body: bytes, system: bytes | None = None, kind: str = "") -> None:
        self.status, self.body, self.system, self.kind = status, body, system, kind
        self.asked: list[str] = []
        super().__init__(_Answer)


class _Answer(BaseHTTPRequestHandler):
    server: Answering

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(self.path)
        status, body = self.server.status, self.server.body
        if self.path == "/system" and self.server.system is not None:
            status, body = 200, self.server.system
        self.send_response(status)
        if self.server.kind:
            self.send_header("Content-Type", self.server.kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()


@pytest.mark.parametrize("body", [b"", DESCRIBED], ids=["nothing", "a description"])
def test_orthancs_own_404_says_that_something_is_not_there(body: bytes) -> None:
    with Answering(404, body, SYSTEM) as server:
        orthanc = server.client()
        for ask in (orthanc.series, orthanc.file, orthanc.series_of_instance, lambda one: orthanc.file(one, limit=9)):
            with pytest.raises(NotThereError):
                ask(NOBODY)
        assert not orthanc.holds_instance(NOBODY)
        orthanc.delete_study(NOBODY)
        assert server.asked.count("/system") == (0 if body else 6)


@pytest.mark.parametrize("system", [None, b"", b"[]", b"{}", PAGE], ids=["404", "nothing", "a list", "empty", "a page"])
def test_an_empty_404_is_a_proxys_unless_orthanc_says_who_it_is(system: bytes | None) -> None:
    with Answering(404, b"", system) as server:
        orthanc = server.client()
        for ask in (orthanc.series, orthanc.file, orthanc.holds_instance, orthanc.delete_study, orthanc.labels):
            server.asked.clear()
            with pytest.raises(NoOrthancError, match="proxy"):
                ask(NOBODY)
            assert len(server.asked) == 2


@pytest.mark.parametrize("body", [b"", DESCRIBED], ids=["nothing", "a description"])
@pytest.mark.parametrize("status", [405, 408, 411, 413, 429])
def test_a_limit_on_requests_is_no_fault_of_what_is_asked_for_or_brought(status: int, body: bytes) -> None:
    with Answering(status, body, SYSTEM) as server:
        orthanc = server.client()
        for ask in (
            lambda: orthanc.series(NOBODY),
            lambda: orthanc.file(NOBODY),
            lambda: orthanc.set_metadata(f"series/{NOBODY}", 1024, "a mark"),
            lambda: orthanc.store(b"a result"),
        ):
            with pytest.raises(NoOrthancError, match=f"HTTP {status}; look for a proxy"):
                ask()


@pytest.mark.parametrize("body", [PAGE, b"404 page not found", b"{}", b"[" * 60_000])
def test_a_proxys_404_says_nothing_of_what_orthanc_holds(body: bytes) -> None:
    with Answering(404, body) as server:
        orthanc = server.client()
        for ask in (orthanc.series, orthanc.file, orthanc.holds_instance, orthanc.delete_study, orthanc.labels):
            with pytest.raises(NoOrthancError, match="proxy"):
                ask(NOBODY)


@pytest.mark.parametrize("body", [b"", PAGE])
@pytest.mark.parametrize("status", [302, 404, 405, 408, 411, 413, 429])
def test_a_proxy_that_turns_a_result_down_is_no_fault_of_the_study(status: int, body: bytes) -> None:
    with Answering(status, body, SYSTEM) as server, pytest.raises(UnavailableError, match="proxy"):
        server.client().store(b"a result")


def test_a_file_that_orthanc_itself_turns_down_is_refused_and_not_tried_again() -> None:
    with Answering(400, DESCRIBED) as server, pytest.raises(OrthancError, match="HTTP 400") as refused:
        server.client().store(b"no DICOM")
    assert not isinstance(refused.value, UnavailableError)


def test_a_mistake_of_ours_while_orthanc_is_asked_is_not_called_orthancs(monkeypatch: pytest.MonkeyPatch) -> None:
    def mistake(*_: object) -> None:
        raise AttributeError("of ours")

    orthanc = Orthanc(OrthancSettings())
    monkeypatch.setattr(orthanc._connection, "transfer", mistake)
    monkeypatch.setattr(orthanc._connection, "ask", mistake)
    for ask in (orthanc.series, orthanc.study, orthanc.labels, orthanc.header, orthanc.is_protected):
        with pytest.raises(AttributeError, match="of ours"):
            ask(NOBODY)


@pytest.mark.parametrize("answer", [b'{"ParentSeries": []}', b'{"ParentSeries": null}', b"[]", b"null", b"{"])
def test_an_answer_of_another_form_is_no_orthancs(answer: bytes) -> None:
    with Answering(200, answer) as server, pytest.raises(NoOrthancError):
        server.client().series_of_instance(NOBODY)


@pytest.mark.parametrize("body", [PAGE, b'{"status": "maintenance"}', b"[]", b"null"])
def test_a_change_that_is_answered_with_content_was_not_made_by_orthanc(body: bytes) -> None:
    place = f"studies/{NOBODY}"
    with Answering(200, body, kind="application/json") as server:
        orthanc = server.client()
        for ask in (
            lambda: orthanc.metadata(place, 4310),
            lambda: orthanc.set_metadata(place, 4310, "a mark"),
            lambda: orthanc.remove_metadata(place, 4310),
            lambda: orthanc.set_label(place, "a-label"),
            lambda: orthanc.remove_label(place, "a-label"),
            orthanc.has_labels,
        ):
            with pytest.raises(NoOrthancError, match="no Orthanc"):
                ask()


@pytest.mark.parametrize("body", [b"", DESCRIBED], ids=["nothing", "a description"])
def test_orthancs_own_403_turns_us_down(body: bytes) -> None:
    with Answering(403, body) as server, pytest.raises(TurnedDownError):
        server.client().set_metadata(f"studies/{NOBODY}", 4310, "a mark")


@pytest.mark.parametrize("body", [PAGE, b"{}", b"403 forbidden"])
def test_a_proxys_403_says_nothing_of_what_orthanc_allows(body: bytes) -> None:
    with Answering(403, body) as server:
        orthanc = server.client()
        for ask in (orthanc.series, orthanc.file, lambda one: orthanc.set_metadata(f"studies/{one}", 4310, "a mark")):
            with pytest.raises(NoOrthancError, match="proxy"):
                ask(NOBODY)
