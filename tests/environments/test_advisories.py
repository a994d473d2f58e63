# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`make audit` calls nothing clean where it cannot read advisories."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy.local.orthanc import ROOT

PROGRAM = ROOT / "environments" / "advisories.py"
ANSWERS = {
    "/told": b'{"vulnerabilities": [{"id": "PYSEC-1"}]}',
    "/mirror": b'{"info": {}}',
    "/none": b'{"vulnerabilities": []}',
    "/page": b"<html>sign in</html>",
    "/list": b"[]",
}


class _Index(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = ANSWERS.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def index() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Index)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def run(url: str) -> subprocess.CompletedProcess[str]:
    program = f"import sys, advisories; sys.exit(advisories.main({url!r}))"
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=PROGRAM.parent
    )


def test_an_index_that_tells_of_advisories_is_audited_with(index: str) -> None:
    done = run(f"{index}/told")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", ["/mirror", "/none", "/page", "/list", "/away"])
def test_one_that_does_not_is_said_to_have_checked_nothing(index: str, path: str) -> None:
    done = run(f"{index}{path}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Not audited: {index}{path} ")
    assert "none is known to be free of them" in done.stderr


def test_nobody_there_is_said_too() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run(f"http://127.0.0.1:{port}/told")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr


def test_make_audit_asks_first() -> None:
    rule = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert rule.index("environments/advisories.py") < rule.index("pip-audit")
    assert Path(PROGRAM).is_file()
