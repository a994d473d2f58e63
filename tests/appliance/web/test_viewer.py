# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The viewer's files and the images it reads, over a stand-in for Orthanc's DICOMweb plugin."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.types import ASGIApp

from appliance.ledger.records import AuditEvent
from appliance.results.identity import series_uid_of
from appliance.sections.orthanc import OrthancSettings
from appliance.sections.viewer import ViewerSettings
from appliance.settings import Settings
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.app import WebApp
from appliance.web.listener import Listener, listen
from appliance.web.login import Login
from appliance.web.looks import Looks
from appliance.web.viewer import Viewer, installed_version, study_link
from tests.appliance.web.site import OTHER, SERIES, Site

PATIENCE_S = 60
STUDY = "/dicom-web/studies/1.2.3"
FRAME = f"{STUDY}/series/1.2.4/instances/1.2.5/frames/1"


@dataclass
class StandIn:
    """What answers in Orthanc's place: what it was asked, and how it answers."""

    asked: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    status: int = 200
    first: bytes = b"first"
    rest: bytes = b"second"
    go_on: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    endless: bool = False

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(
            (handler.command, handler.path, {name.lower(): text for name, text in handler.headers.items()})
        )
        handler.send_response(self.status)
        handler.send_header("Content-Type", "application/dicom+json")
        handler.send_header("Server", "Orthanc")
        handler.send_header("Set-Cookie", "secret=1")
        if not self.endless:
            handler.send_header("Content-Length", str(len(self.first + self.rest)))
        handler.end_headers()
        try:
            handler.wfile.write(self.first)
            handler.wfile.flush()
            assert self.go_on.wait(PATIENCE_S)
            handler.wfile.write(self.rest)
            while self.endless:
                handler.wfile.write(bytes(2**16))
        except OSError:
            self.left.set()


@pytest.fixture
def orthanc() -> Iterator[tuple[StandIn, str]]:
    told = StandIn()
    told.go_on.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield told, f"http://127.0.0.1:{server.server_port}"
    told.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A viewer that is laid out."""
    made = tmp_path / "viewer"
    (made / "assets").mkdir(parents=True)
    (made / "index.html").write_text("the page")
    (made / "app.bundle.0123456789abcdef.js").write_text("the code")
    (made / "VERSION").write_text("3.13.2\n")
    (tmp_path / "secret.txt").write_text("not for the web")
    return made


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def viewer(folder: Path, orthanc: tuple[StandIn, str], looks: Looks) -> Viewer:
    settings = OrthancSettings(url=orthanc[1], username="appliance", password="its password", timeout_s=30)
    return Viewer(folder, settings, 4, looks)


@pytest.fixture
def client(viewer: Viewer) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=viewer.routes), base_url="http://127.0.0.1:8044") as made:
        yield made


@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web/studies",
        "/dicom-web/series",
        "/dicom-web/instances",
        STUDY,
        f"{STUDY}/series",
        f"{STUDY}/metadata",
        f"{STUDY}/series/1.2.4",
        f"{STUDY}/series/1.2.4/metadata",
        f"{STUDY}/series/1.2.4/instances/1.2.5",
        FRAME,
        f"{FRAME}/rendered",
        f"{STUDY}/series/1.2.4/instances/1.2.5/frames/1,2,3",
        f"{STUDY}/series/1.2.4/instances/1.2.5/bulk/0040a730/3/00700022",
    ],
)
def test_what_a_viewer_reads_is_asked_of_orthanc_with_the_services_password(
    client: TestClient, orthanc: tuple[StandIn, str], path: str
) -> None:
    answer = client.get(
        f"{path}?PatientID=a%26b&limit=5", headers={"Authorization": "Bearer mine", "Accept": "multipart/related"}
    )
    assert (answer.status_code, answer.content) == (200, b"firstsecond")
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.headers["cache-control"] == "no-store"
    assert "set-cookie" not in answer.headers
    ((method, asked, headers),) = orthanc[0].asked
    assert (method, asked) == ("GET", f"{path}?PatientID=a%26b&limit=5")
    assert headers["authorization"] == httpx.BasicAuth("appliance", "its password")._auth_header
    assert headers["accept"] == "multipart/related"
    assert headers["accept-encoding"] == "identity"
    assert headers["forwarded"] == "host=127.0.0.1:8044;proto=http"


@pytest.mark.parametrize(
    "path",
    [
        "/dicom-web",
        "/dicom-web/",
        "/dicom-web/servers",
        "/dicom-web/info",
        "/dicom-web/app/client/index.html",
        "/dicom-web/studies/",
        "/dicom-web/studies/1.2.3/../../system",
        "/dicom-web/studies/..%2f..%2fsystem",
        "/dicom-web/%2e%2e/system",
        "/dicom-web//system",
        "/dicom-web/studies/1.2.3%0d%0aX: y",
        "/dicom-web/studies/1.2.3%3fa=b",
        "/dicom-web/studies/*",
        "/dicom-web/studies/1.2.3/series/1.2.4/instances/1.2.5/frames/one",
        f"/dicom-web/studies/{'1' * 65}",
        f"/dicom-web/studies?PatientID={'9' * 5000}",
        "/system",
        "/instances",
    ],
)
def test_nothing_else_of_orthanc_can_be_reached(client: TestClient, orthanc: tuple[StandIn, str], path: str) -> None:
    assert client.get(path).status_code == 404
    assert orthanc[0].asked == []


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_is_stored_or_removed(client: TestClient, orthanc: tuple[StandIn, str], method: str) -> None:
    for path in ("/dicom-web/studies", STUDY, "/viewer/"):
        assert client.request(method, path).status_code == 405
    assert orthanc[0].asked == []


@pytest.mark.parametrize(("theirs", "ours"), [(401, 502), (403, 502), (404, 404), (400, 400), (500, 502), (503, 502)])
def test_a_refusal_of_orthanc_is_passed_on_without_its_words(
    client: TestClient, orthanc: tuple[StandIn, str], theirs: int, ours: int
) -> None:
    """A 401 would make the browser ask the reader for another password: Orthanc's is not theirs."""
    orthanc[0].status = theirs
    answer = client.get(STUDY)
    assert answer.status_code == ours
    assert set(answer.json()) == {"error"}


def test_an_orthanc_that_is_away_is_told(folder: Path, looks: Looks) -> None:
    with listen("127.0.0.1", 0, "test") as closed:
        port = closed.getsockname()[1]
    away = Viewer(folder, OrthancSettings(url=f"http://127.0.0.1:{port}"), 4, looks)
    with TestClient(Starlette(routes=away.routes)) as client:
        answer = client.get(STUDY)
    assert answer.status_code == 503
    assert "Orthanc does not answer" in answer.json()["error"]


@pytest.fixture
def served(viewer: Viewer) -> Iterator[str]:
    """The viewer behind the service's own listener."""
    sock = listen("127.0.0.1", 0, "test")
    listener = Listener(Starlette(routes=viewer.routes), sock)
    thread = threading.Thread(target=listener.run, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    listener.stop()
    thread.join(PATIENCE_S)


def test_an_answer_is_passed_on_as_it_comes_and_not_held_in_memory(served: str, orthanc: tuple[StandIn, str]) -> None:
    """Orthanc sends the second part only once the viewer has the first."""
    told, _ = orthanc
    told.go_on.clear()
    with httpx.stream("GET", served + FRAME, timeout=PATIENCE_S, trust_env=False) as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"
        told.go_on.set()
        assert b"".join(parts) == b"second"


def test_when_the_viewer_goes_away_the_request_to_orthanc_ends(served: str, orthanc: tuple[StandIn, str]) -> None:
    told, _ = orthanc
    told.endless = True
    with httpx.stream("GET", served + FRAME, timeout=PATIENCE_S, trust_env=False) as answer:
        next(answer.iter_raw())
    assert told.left.wait(PATIENCE_S)


def test_who_looked_at_the_images_of_which_study_is_noted_once(client: TestClient, looks: Looks) -> None:
    for _ in range(3):
        client.get(FRAME)
    client.get("/dicom-web/studies")
    noted: list[tuple[Any, ...]] = []
    looks.write(lambda event, who, **details: noted.append((event, who, details["study_uid"], details["at"])))
    assert noted == [
        (AuditEvent.LOOKED, "this machine", "1.2.3", "images"),
        (AuditEvent.LOOKED, "this machine", "", "images"),
    ]


def app_of(site: Site, viewer: Viewer) -> ASGIApp:
    """The whole web application, with a viewer."""
    return WebApp(
        site, site.bell, site.ledger, site.health, site.metrics, site.shelf, looks=site.looks, viewer=viewer
    ).asgi


def test_from_elsewhere_an_account_is_needed_and_one_that_may_look_is_enough(
    viewer: Viewer, tmp_path: Path, looks: Looks, orthanc: tuple[StandIn, str]
) -> None:
    site = Site(tmp_path)
    account, secret = new_account("reader", Role.LOOK)
    write_accounts(tmp_path / "accounts.toml", [account])
    app = app_of(site, viewer)
    outside = Login(app, Accounts(tmp_path / "accounts.toml"), site.metrics, looks)
    with TestClient(outside, base_url="http://127.0.0.1:8443") as client:
        for path in ("/viewer/", "/viewer/viewer.js", STUDY, FRAME):
            assert client.get(path).status_code == 401
        assert orthanc[0].asked == []
        for path in ("/viewer/", STUDY, FRAME):
            assert client.get(path, auth=("reader", secret)).status_code == 200
        assert client.post("/dicom-web/studies", auth=("reader", secret)).status_code == 403
    site.ledger.close()


def test_without_a_viewer_there_is_neither_page_nor_image(tmp_path: Path, looks: Looks) -> None:
    assert Viewer.of(Settings(state_dir=tmp_path), looks) is None
    assert Viewer.of(Settings(state_dir=tmp_path, viewer=ViewerSettings(folder=tmp_path / "none")), looks) is None
    site = Site(tmp_path)
    for path in ("/viewer/", "/viewer", STUDY):
        assert site.client.get(path).status_code == 404
    site.ledger.close()


def test_a_viewer_is_found_where_it_is_made_and_only_when_it_is_whole(
    tmp_path: Path, folder: Path, looks: Looks
) -> None:
    assert Viewer.of(Settings(state_dir=tmp_path), looks) is not None
    assert installed_version(folder) == "3.13.2"
    (folder / "VERSION").unlink()  # written last
    assert installed_version(folder) == ""
    assert Viewer.of(Settings(state_dir=tmp_path), looks) is None


@pytest.mark.parametrize("path", ["/viewer/", "/viewer/viewer?StudyInstanceUIDs=1.2.3", "/viewer/segmentation"])
def test_a_view_of_the_viewer_is_its_page(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer.text) == (200, "the page")
    assert answer.headers["cache-control"] == "no-cache"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'unsafe-eval'; ")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "http" not in policy
    assert "frame-ancestors 'none'" in policy


def test_files_named_by_their_content_are_kept_by_the_browser(client: TestClient) -> None:
    answer = client.get("/viewer/app.bundle.0123456789abcdef.js")
    assert (answer.text, answer.headers["cache-control"]) == ("the code", "private, max-age=31536000, immutable")


@pytest.mark.parametrize(
    "path", ["/viewer/missing.js", "/viewer/../secret.txt", "/viewer/%2e%2e/secret.txt", "/viewer/..%2fsecret.txt"]
)
def test_what_is_no_file_of_the_viewer_is_not_served(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert "not for the web" not in answer.text
    assert answer.status_code == 404


def test_the_page_of_a_study_opens_it_with_its_masks_in_the_viewer(viewer: Viewer, tmp_path: Path) -> None:
    site = Site(tmp_path)
    answered = site.answered(SERIES)
    refused = site.refused(OTHER)
    with TestClient(app_of(site, viewer), base_url="http://127.0.0.1:8044") as client:
        page = client.get(f"/studies/{answered.orthanc_study}").text
        link = escape(study_link(f"1.2.{SERIES}", str(series_uid_of("1.9.seg"))))
        assert f'<a href="{link}" target="_blank" rel="noopener">Open in the viewer, with the masks</a>' in page
        page = client.get(f"/studies/{refused.orthanc_study}").text
        link = escape(study_link(f"1.2.{OTHER}"))
        assert f'<a href="{link}" target="_blank" rel="noopener">Open in the viewer</a>' in page
    assert "/viewer/" not in site.client.get(f"/studies/{answered.orthanc_study}").text, "a link that leads nowhere"
    site.ledger.close()


def test_the_link_names_the_study_and_the_masks_to_show_over_it() -> None:
    assert study_link("1.2.3") == "/viewer/viewer?StudyInstanceUIDs=1.2.3"
    assert study_link("1.2.3", "1.2.9") == "/viewer/viewer?StudyInstanceUIDs=1.2.3&initialSeriesInstanceUID=1.2.9"
    assert study_link('1.2"&x=<') == "/viewer/viewer?StudyInstanceUIDs=1.2%22%26x%3D%3C"
