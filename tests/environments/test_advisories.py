# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`make audit` calls nothing clean where it cannot read advisories, and leaves what it found for the doctor.

Where its environment is made, the real `pip-audit` asks a database of the test's own, in the format of osv.dev.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from appliance.doctor.packages import compare_packages
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

    def do_POST(self) -> None:
        """Tell of one vulnerability of one package, as osv.dev does."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        told = {"id": "PYSEC-2026-1", "affected": [], "summary": "a flaw", "aliases": []}
        vulnerable = self.path == "/flawed" and asked["package"]["name"] == "numpy"
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"vulns": [told]} if vulnerable else {}).encode())

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


def run(
    folder: Path, url: str, python: str | Path = sys.executable, **environment: str
) -> subprocess.CompletedProcess[str]:
    program = f"import pathlib, sys, advisories; sys.exit(advisories.main(pathlib.Path({str(folder)!r}), {url!r}))"
    return subprocess.run(
        [python, "-c", program],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=PROGRAM.parent,
    )


@pytest.fixture
def audit_python() -> Path:
    """The Python of the environment that `make audit` makes."""
    python = ROOT / ".venv-audit" / "bin" / "python"
    if not python.with_name("pip-audit").exists():
        pytest.skip("`make audit` has not made .venv-audit here")
    return python


@pytest.mark.parametrize(("database", "status"), [("clean", 0), ("flawed", 1)])
def test_the_reports_of_both_locks_are_left_for_the_doctor(
    index: str, tmp_path: Path, audit_python: Path, database: str, status: int
) -> None:
    asking = {"PIP_AUDIT_VULNERABILITY_SERVICE": "osv", "PIP_AUDIT_OSV_URL": f"{index}/{database}"}
    done = run(tmp_path, f"{index}/told", audit_python, **asking)
    assert done.returncode == status, done.stderr
    assert json.loads((tmp_path / "audit.json").read_text())["fault"] == ""
    for name in ("service", "triton"):
        assert len(json.loads((tmp_path / f"{name}.audit.json").read_text())["dependencies"]) > 5
        shutil.copytree(ROOT / "environments", tmp_path / "site" / "environments", dirs_exist_ok=True)
    shutil.copytree(tmp_path, tmp_path / "site" / "sbom", ignore=shutil.ignore_patterns("site"))
    seen = compare_packages(tmp_path / "site", datetime.now(UTC).date())
    assert seen.state == ("warn" if status else "ok")
    assert ("numpy 1.26.4: PYSEC-2026-1" in seen.what) is bool(status), seen
    assert ("numpy 1.26.4: PYSEC-2026-1" in done.stdout) is bool(status)


def test_without_pip_audit_nothing_is_audited_and_an_older_report_is_taken_away(index: str, tmp_path: Path) -> None:
    (tmp_path / "service.audit.json").write_text("{}")
    done = run(tmp_path, f"{index}/told", "/usr/bin/python3")
    assert done.returncode == 2
    assert "Not audited: /usr/bin/pip-audit is not there" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["audit.json"]


@pytest.mark.parametrize("path", ["/mirror", "/none", "/page", "/list", "/away"])
def test_one_that_does_not_is_said_to_have_checked_nothing(index: str, tmp_path: Path, path: str) -> None:
    done = run(tmp_path, f"{index}{path}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"Not audited: {index}{path} ")
    assert "none is known to be free of them" in done.stderr
    assert json.loads((tmp_path / "audit.json").read_text())["fault"].startswith(f"{index}{path} ")


def test_nobody_there_is_said_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = run(tmp_path, f"http://127.0.0.1:{port}/told")
    assert done.returncode == 2
    assert "cannot be read" in done.stderr


def test_make_audit_runs_it_and_leaves_the_reports_where_the_doctor_and_the_installation_look() -> None:
    rule = (ROOT / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert ".venv-audit/bin/python environments/advisories.py var/sbom" in rule
    assert PROGRAM.is_file()
    assert '"$source/var/sbom"' in (ROOT / "deploy" / "install.sh").read_text()
