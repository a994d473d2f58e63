# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as an answer of a server, with small HTTP servers in their place."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.health import NOT_ASKED
from appliance.settings import Settings
from deploy.local.answering import not_ready, questions
from deploy.local.ports import with_free_ports


class StandIn(ThreadingHTTPServer):
    """Answers each path with a status and a document; 404 for any other."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answers: dict[str, tuple[int, object]] = {}


class _Handler(BaseHTTPRequestHandler):
    server: StandIn

    def do_GET(self) -> None:
        status, told = self.server.answers.get(self.path, (404, {}))
        body = json.dumps(told).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return with_free_ports(Settings(), tmp_path)


@pytest.fixture
def triton(settings: Settings) -> Iterator[StandIn]:
    yield from _running(StandIn(settings.triton.http_port))


@pytest.fixture
def service(settings: Settings) -> Iterator[StandIn]:
    yield from _running(StandIn(settings.service.port))


def _running(server: StandIn) -> Iterator[StandIn]:
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_nobody_there_is_no_answer(settings: Settings) -> None:
    for name, ask in questions(settings).items():
        assert "does not answer" in ask(), name
    assert "does not answer" in not_ready(settings)


def test_a_triton_that_calls_itself_ready_and_answers_no_study_gives_no_answer(
    settings: Settings, triton: StandIn, service: StandIn
) -> None:
    triton.answers["/v2/health/ready"] = (200, None)
    service.answers["/health/ready"] = (503, {"ready": False, "reasons": {"triton": "no answer", "orthanc": "away"}})
    assert questions(settings)["triton"]() == "the service gets no answer: no answer"
    service.answers["/health/ready"] = (503, {"ready": False, "reasons": {"orthanc": "away"}})
    assert questions(settings)["triton"]() == ""


@pytest.mark.parametrize(
    "told", [[], {}, {"reasons": []}, {"reasons": None}, "words", {"reasons": {"triton": NOT_ASKED}}]
)
def test_a_service_that_says_nothing_of_triton_is_no_evidence_against_it(
    settings: Settings, triton: StandIn, service: StandIn, told: object
) -> None:
    triton.answers["/v2/health/ready"] = (200, None)
    service.answers["/health/ready"] = (503, told)
    assert questions(settings)["triton"]() == ""


def test_a_service_with_a_dead_thread_gives_no_answer(settings: Settings, service: StandIn) -> None:
    service.answers["/health/live"] = (503, {"live": False})
    assert "answers 503" in questions(settings)["service"]()
    service.answers["/health/live"] = (200, {"live": True})
    assert questions(settings)["service"]() == ""
