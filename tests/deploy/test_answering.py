# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What counts as an answer of a server, with small HTTP servers in their place, and a real Triton where it computes."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from appliance.health import NOT_ASKED
from appliance.inference.client import http_headers
from appliance.inference.server import TritonServer
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings
from deploy.local import answering
from deploy.local.answering import not_ready, questions
from deploy.local.ports import with_free_ports
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.inference.ports import triton_settings


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
    try:
        yield server
    finally:
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


def test_a_triton_that_the_service_has_left_gives_an_answer_if_it_computes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hangs = tmp_path / "hangs"
    write_repository(tmp_path / "models", hangs=hangs)
    first = triton_settings(tmp_path / "models", others=("127.0.0.1:9",), secret="word")
    settings = with_free_ports(Settings(), tmp_path).model_copy(update={"triton": first})
    ask = questions(settings)["triton"]
    stand_in = first.model_copy(update={"others": (f"127.0.0.1:{first.grpc_port}",)})
    ask_stand_in = questions(settings.model_copy(update={"triton": stand_in}))["triton"]
    with TritonServer(first, tmp_path / "triton"), contextmanager(_running)(StandIn(settings.service.port)) as service:
        service.answers["/health/ready"] = (200, {"reasons": {}, "model": {"stands_in": "the first one was left"}})
        assert ask() == ""
        hangs.touch()
        with monkeypatch.context() as impatient:
            impatient.setattr(answering, "_CHUNK_S", 3.0)
            assert "a chunk was sent to it: no answer in time" in ask()
        assert ask_stand_in() == ""
        service.answers["/health/ready"] = (200, {"reasons": {}, "model": {"name": "its own answers"}})
        assert ask() == ""
        hangs.unlink()
        service.answers["/health/ready"] = (200, {"reasons": {}, "model": {"stands_in": "the first one was left"}})
        assert ask() == ""
        url = f"http://127.0.0.1:{first.http_port}/v2/repository/models/{DETECTOR}/unload"
        httpx.post(url, headers=http_headers(first), timeout=60, trust_env=False).raise_for_status()
        assert ask() == "it has loaded no detector"


def test_a_service_with_a_dead_thread_gives_no_answer(settings: Settings, service: StandIn) -> None:
    service.answers["/health/live"] = (503, {"live": False})
    assert "answers 503" in questions(settings)["service"]()
    service.answers["/health/live"] = (200, {"live": True})
    assert questions(settings)["service"]() == ""
