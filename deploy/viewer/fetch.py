# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""OHIF as its makers built it (the npm package `@ohif/app`, MIT), of one version and known by its hash.

It is laid out without what a reader of head CTs does not need: source maps, the pathology viewer, the runtime of the
segmentation tools that learn, pages and workers for other servers. That leaves 50 of 203 MB. Two files are ours: the
page, without scripts inside it, and the configuration. Bundles and styles were built for
the root of a server: the address where they look for one another is changed to `/viewer/`, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Final

import httpx

from appliance.errors import UnavailableError

VERSION: Final = "3.13.2"
URL: Final = f"https://registry.npmjs.org/@ohif/app/-/app-{VERSION}.tgz"
INTEGRITY: Final = "WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""The sha512 that the registry gives with the package, in base64."""
CONFIGURATION: Final = Path(__file__).with_name("viewer.js")

_LARGEST: Final = 100_000_000
_TIMEOUT_S: Final = 60.0
_PACKAGE: Final = "package/dist/"
_LICENSE: Final = "package/LICENSE"
_LEFT_OUT: Final = re.compile(
    r".*\.map|ort/.*|dicom-microscopy-viewer/.*|_headers|_redirects|serve\.json|google\.js|oidc-client\.min\.js"
    r"|silent-refresh\.html|sw\.js|init-service-worker\.js|app-config\.js|index\.html|(es6-shim|polyfill)\.min\.js"
)
_SCRIPT: Final = re.compile(r'<script defer src="/(app\.bundle\.[0-9a-f]+\.js)">')
_STYLES: Final = re.compile(r'<link href="/(app\.bundle\.css)" rel="stylesheet">')
_BUILT_FOR: Final = b'__webpack_require__.p = "/";'
_SERVED_AT: Final = b'__webpack_require__.p = "/viewer/";'
_MOVED: Final = {".js": (_BUILT_FOR, _SERVED_AT), ".css": (b"url(/", b"url(/viewer/")}
_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Viewer</title>
<link rel="icon" href="/viewer/assets/favicon.ico">
<link rel="stylesheet" href="/viewer/{styles}">
<script src="/viewer/viewer.js"></script>
<script defer src="/viewer/{script}"></script>
</head>
<body>
<noscript>The viewer needs JavaScript.</noscript>
<div id="react-portal"></div>
<div id="root"></div>
</body>
</html>
"""


def fetch(cache: Path, url: str = URL) -> Path:
    """Return the package as a file in the folder `cache`, fetched unless it is there already.

    Raises `UnavailableError` when it cannot be fetched or is not the package that is wanted.
    """
    file = cache / f"ohif-app-{VERSION}.tgz"
    if file.is_file() and is_wanted(file):
        return file
    cache.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".new")
    try:
        with httpx.stream("GET", url, timeout=_TIMEOUT_S, follow_redirects=True) as answer, aside.open("wb") as written:
            answer.raise_for_status()
            for part in answer.iter_bytes():
                written.write(part)
                if written.tell() > _LARGEST:
                    raise UnavailableError(f"{url} is longer than {_LARGEST / 1e6:.0f} MB: this is not OHIF {VERSION}")
        if not is_wanted(aside):
            raise UnavailableError(f"{url} is not OHIF {VERSION}: its sha512 differs from the one in {__name__}")
        aside.replace(file)
    except httpx.HTTPError as error:
        raise UnavailableError(
            f"{url} cannot be fetched ({type(error).__name__}); where there is no network, copy the file to {file}"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return file


def is_wanted(file: Path) -> bool:
    """Return whether a file is the package of this version, bit for bit."""
    with file.open("rb") as opened:
        return base64.b64encode(hashlib.file_digest(opened, "sha512").digest()).decode() == INTEGRITY


def lay_out(package: Path, folder: Path) -> None:
    """Put the viewer into `folder`, in place of an older one; its `VERSION` is written last.

    Raises `UnavailableError` when the package does not hold what it must.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as made:
        new = Path(made) / "new"
        new.mkdir()
        with tarfile.open(package) as tar:
            page = _unpack(tar, new)
        script, styles = _SCRIPT.search(page), _STYLES.search(page)
        if script is None or styles is None or not (new / "LICENSE").is_file() or not _is_moved(new / script[1]):
            raise UnavailableError(f"{package} does not hold the viewer as OHIF {VERSION} does")
        (new / "index.html").write_text(_PAGE.format(script=script[1], styles=styles[1]))
        shutil.copyfile(CONFIGURATION, new / "viewer.js")
        (new / "VERSION").write_text(f"{VERSION}\n")
        if folder.exists():
            folder.replace(Path(made) / "old")
        new.replace(folder)
        folder.chmod(0o755)


def _unpack(tar: tarfile.TarFile, folder: Path) -> str:
    """Write the files that are wanted and return the package's own page."""
    page = ""
    for member in tar:
        inside = "LICENSE" if member.name == _LICENSE else member.name.removeprefix(_PACKAGE)
        if not member.isfile() or (inside == member.name and inside != "LICENSE"):
            continue
        content = tar.extractfile(member)
        assert content is not None
        if inside == "index.html":
            page = content.read().decode()
        if _LEFT_OUT.fullmatch(inside):
            continue
        target = folder / inside
        if not target.resolve().is_relative_to(folder.resolve()):
            raise UnavailableError(f"{member.name!r} of the package lies outside it")
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = content.read()
        target.write_bytes(whole.replace(*_MOVED[target.suffix]) if target.suffix in _MOVED else whole)
    return page


def _is_moved(script: Path) -> bool:
    """Return whether a bundle looks for the others where they are served."""
    return script.is_file() and _SERVED_AT in script.read_bytes()
