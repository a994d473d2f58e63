# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy before a real Orthanc, which can answer in its place."""

from __future__ import annotations

import http.client
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import urlsplit

from appliance.settings import Settings


@dataclass(frozen=True)
class Page:
    """What the proxy itself answers to requests by these methods whose path contains `on`."""

    on: str
    status: int
    kind: str
    body: bytes
    methods: tuple[str, ...] = ("GET", "POST", "PUT", "DELETE")

    def __str__(self) -> str:
        return f"{self.status} {self.kind}"


def pages(on: str) -> list[Page]:
    """Return what proxies answer in place of a server that they do not reach now."""
    html, document = b"<html><body>Maintenance</body></html>", b'{"status": "maintenance", "retry_after": 300}'
    return [
        Page(on, 200, "application/json", document),
        *(Page(on, status, "text/html", html) for status in (200, 401, 404, 503)),
    ]


def bans(on: str) -> list[Page]:
    """Return what proxies answer to changes that they never let through."""
    html = b"<html><body>Not allowed</body></html>"
    return [Page(on, status, "text/html", html, methods=("PUT", "DELETE")) for status in (403, 405)]


class Proxy(ThreadingHTTPServer):
    """Passes requests on to Orthanc while the context lasts, but those that its `page` is for."""

    def __init__(self, settings: Settings) -> None:
        self.behind = urlsplit(settings.orthanc.url)
        self.page: Page | None = None
        super().__init__(("127.0.0.1", 0), _PassOn)
        url = f"http://127.0.0.1:{self.server_port}"
        self.settings = settings.model_copy(update={"orthanc": settings.orthanc.model_copy(update={"url": url})})

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _PassOn(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = self.server.page
        if page is not None and page.on in self.path and self.command in page.methods:
            self._tell(page.status, page.kind, page.body)
            return
        host, port = self.server.behind.hostname or "", self.server.behind.port
        connection = http.client.HTTPConnection(host, port, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("host", "connection")}
        connection.request(self.command, self.path, body or None, headers)
        response = connection.getresponse()
        self._tell(response.status, response.headers.get("Content-Type", ""), response.read())
        connection.close()

    def do_POST(self) -> None:
        self.do_GET()

    def do_PUT(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def _tell(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        if kind:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
