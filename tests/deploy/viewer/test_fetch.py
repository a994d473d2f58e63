# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Fetching and laying out the viewer, with a small package made like OHIF's."""

from __future__ import annotations

import base64
import hashlib
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread

import pytest

from appliance.errors import UnavailableError
from appliance.web.viewer import installed_version
from deploy.viewer import fetch as fetch_module
from deploy.viewer.fetch import VERSION, fetch, is_wanted, lay_out

PAGE = (
    '<!doctype html><script>window.PUBLIC_URL="/"</script><script defer src="/app.bundle.0f61.js"></script>'
    '<link href="/app.bundle.css" rel="stylesheet">'
)
FILES = {
    "package/package.json": "{}",
    "package/LICENSE": "The MIT License",
    "package/dist/index.html": PAGE,
    "package/dist/app.bundle.0f61.js": '__webpack_require__.p = "/";\nrun()',
    "package/dist/12.bundle.ab.js": "nothing to move",
    "package/dist/app.bundle.css": "@font-face{src:url(/a.woff2)}",
    "package/dist/assets/favicon.ico": "icon",
    "package/dist/app.bundle.0f61.js.map": "map",
    "package/dist/ort/ort.js": "runtime",
    "package/dist/ort/cjs/ort.min.js.map": "map",
    "package/dist/dicom-microscopy-viewer/big.js": "pathology",
    "package/dist/sw.js": "worker",
    "package/dist/app-config.js": "theirs",
    "package/dist/google.js": "elsewhere",
}


def package(file: Path, files: Mapping[str, str]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, BytesIO(text.encode()))
    return file


def integrity(file: Path) -> str:
    return base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()


def test_what_a_reader_needs_is_laid_out_and_moved_to_its_path(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    lay_out(package(tmp_path / "app.tgz", FILES), folder)
    there = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert there == [
        "12.bundle.ab.js",
        "LICENSE",
        "VERSION",
        "app.bundle.0f61.js",
        "app.bundle.css",
        "assets/favicon.ico",
        "index.html",
        "viewer.js",
    ]
    assert (folder / "app.bundle.0f61.js").read_text() == '__webpack_require__.p = "/viewer/";\nrun()'
    assert (folder / "app.bundle.css").read_text() == "@font-face{src:url(/viewer/a.woff2)}"
    page = (folder / "index.html").read_text()
    assert "<script>" not in page
    assert 'src="/viewer/app.bundle.0f61.js"' in page
    assert page.index("viewer.js") < page.index("app.bundle.0f61.js"), "the configuration comes too late"
    assert installed_version(folder) == VERSION
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_newer_viewer_takes_the_place_of_the_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "viewer"
    folder.mkdir()
    (folder / "old.js").write_text("old")
    lay_out(package(tmp_path / "app.tgz", FILES), folder)
    assert not (folder / "old.js").exists()


@pytest.mark.parametrize(
    "files",
    [
        {},
        {name: text for name, text in FILES.items() if name != "package/LICENSE"},
        {name: text for name, text in FILES.items() if name != "package/dist/app.bundle.0f61.js"},
        FILES | {"package/dist/app.bundle.0f61.js": "built for another path"},
        FILES | {"package/dist/index.html": "<html>another page</html>"},
        FILES | {"package/dist/../../../outside.js": "escaped"},
    ],
    ids=["empty", "no licence", "no code", "another path", "another page", "out of the folder"],
)
def test_a_package_of_another_shape_leaves_the_viewer_that_is_there(tmp_path: Path, files: Mapping[str, str]) -> None:
    folder = tmp_path / "inner" / "viewer"
    lay_out(package(tmp_path / "good.tgz", FILES), folder)
    with pytest.raises(UnavailableError):
        lay_out(package(tmp_path / "odd.tgz", files), folder)
    assert installed_version(folder) == VERSION
    assert [path.name for path in folder.parent.iterdir()] == ["viewer"]
    assert not (tmp_path / "outside.js").exists()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    served = tmp_path / "registry"
    served.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(served)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield served, f"http://127.0.0.1:{server.server_port}/app.tgz"
    server.shutdown()
    server.server_close()
    thread.join()


def test_only_the_package_with_the_hash_is_taken_and_it_is_fetched_once(
    tmp_path: Path, registry: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, url = registry
    cache = tmp_path / "cache"
    made = package(served / "app.tgz", FILES)
    assert not is_wanted(made)
    with pytest.raises(UnavailableError, match="sha512"):
        fetch(cache, url)
    assert list(cache.iterdir()) == []
    monkeypatch.setattr(fetch_module, "INTEGRITY", integrity(made))
    fetched = fetch(cache, url)
    assert fetched.read_bytes() == made.read_bytes()
    made.unlink()
    assert fetch(cache, url) == fetched
    fetched.write_bytes(fetched.read_bytes()[:-1])
    with pytest.raises(UnavailableError, match="copy the file to"):
        fetch(cache, url)


def test_a_package_without_an_end_is_given_up(
    tmp_path: Path, registry: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, url = registry
    package(served / "app.tgz", FILES)
    monkeypatch.setattr(fetch_module, "_LARGEST", 100)
    with pytest.raises(UnavailableError, match="is longer than"):
        fetch(tmp_path / "cache", url)
    assert list((tmp_path / "cache").iterdir()) == []
