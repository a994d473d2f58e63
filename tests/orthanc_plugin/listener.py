# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A small HTTP server in the place of the appliance's service: it keeps what it is told and answers as it is set."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from deploy.local.ports import free_ports


class Listener:
    """Listens on loopback from `start` to `stop`; the port is known before it listens."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.rings: list[dict[str, Any]] = []
        self.analyzed: list[str] = []
        self.asked: list[str] = []
        self.answers: dict[str, tuple[int, bytes]] = {
            "/doorbell": (204, b""),
            "/status": (200, b'{"studies": []}'),
            "/analyze": (202, b'{"job": 7}'),
        }
        self.may_answer = threading.Event()
        self.may_answer.set()
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        self.may_answer.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def instances(self) -> dict[str, float]:
        """All instances that it was told of, with the newest stamp."""
        return {key: stamp for ring in self.rings for key, stamp in ring["instances"].items()}

    def series(self) -> dict[str, str]:
        return {key: state for ring in self.rings for key, state in ring["series"].items()}


def _handler(listener: Listener) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            listener.asked.append(self.path)
            self._answer(self.path.partition("?")[0])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path == "/doorbell":
                listener.rings.append(json.loads(body))
                self._answer("/doorbell")
            else:
                listener.analyzed.append(self.path)
                self._answer("/analyze")

        def _answer(self, what: str) -> None:
            listener.may_answer.wait()
            status, body = listener.answers[what]
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:  # who asked has gone
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def eventually(happened: Callable[[], bool], within_s: float = 240) -> bool:
    """Return whether `happened` became true within a time that only a fault exceeds."""
    end = time.monotonic() + within_s
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
