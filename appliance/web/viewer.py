# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The OHIF viewer and the images it shows, under the service's own address and with its accounts.

`/viewer/` is a folder of files; `/dicom-web/` passes questions about studies on to Orthanc's DICOMweb plugin, with
Orthanc's password, which no browser learns. Only reading is passed on, and only of studies, series, instances and
frames: nothing else of Orthanc can be reached from here. Answers are passed on piece by piece as they come, so a
study of a gigabyte needs no memory, and a client that goes away ends the request to Orthanc too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

import httpx
import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from appliance.ledger.records import AuditEvent
from appliance.sections.orthanc import OrthancSettings
from appliance.settings import Settings
from appliance.web.login import identify
from appliance.web.looks import Looks

PATH: Final = "/viewer/"
PAGE: Final = "index.html"
VERSION: Final = "VERSION"
"""The file that is written last when a viewer is laid out, with the version of OHIF."""

_UID: Final = r"[0-9.]{1,64}"
_NUMBERS: Final = r"[0-9]{1,8}(?:,[0-9]{1,8}){0,63}"
_TAGS: Final = r"[0-9A-Fa-f]{8}(?:/[0-9]{1,6}/[0-9A-Fa-f]{8}){0,8}"
_READABLE: Final = re.compile(
    rf"(?:studies|series|instances)|studies/(?P<study>{_UID})(?:/(?:series|instances|metadata)"
    rf"|/series/{_UID}(?:/(?:instances|metadata|rendered)"
    rf"|/instances/{_UID}(?:/(?:metadata|rendered|frames/{_NUMBERS}(?:/rendered)?|bulk/{_TAGS}))?)?)?"
)
"""The resources of QIDO-RS and WADO-RS (PS3.18, 10.4 and 10.6); everything else is refused."""
_LONGEST_QUERY: Final = 4096
_PASSED_ON: Final = ("content-type", "content-length", "last-modified", "etag")
_WAIT_FOR_A_TURN_S: Final = 60.0

HEADERS: Final = {
    # OHIF runs WebAssembly (decoders), makes workers of blobs, writes styles into elements, turns images into blobs and
    # data URLs for thumbnails, and its library of arrays compiles code (`unsafe-eval`): without that no segmentation is
    # shown. Scripts in the page and anything from elsewhere stay forbidden.
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self' 'unsafe-eval'",
            "worker-src 'self' blob:",
            "connect-src 'self' blob: data:",
            "img-src 'self' blob: data:",
            "style-src 'self' 'unsafe-inline'",
            "font-src 'self' data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
_IMAGES: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}


def installed_version(folder: Path) -> str:
    """Return the version of the viewer in a folder, empty when there is none or it is not whole."""
    try:
        return (folder / VERSION).read_text().strip() if (folder / PAGE).is_file() else ""
    except (OSError, UnicodeDecodeError):
        return ""


def study_link(study_uid: str, segmentation_series_uid: str = "") -> str:
    """Return the address, below the service's own, that opens a study in the viewer, with the masks if there are some.

    The series to open first is the segmentation: the viewer shows it over the images that it belongs to.
    """
    query = {"StudyInstanceUIDs": study_uid}
    if segmentation_series_uid:
        query["initialSeriesInstanceUID"] = segmentation_series_uid
    return f"{PATH}viewer?{urlencode(query)}"


class _Files(StaticFiles):
    """The viewer's files; a path without a file is a view of the viewer's own, which the page shows."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            answer = await super().get_response(path, scope)
        except HTTPException as error:
            if error.status_code != 404 or "." in path.rsplit("/", 1)[-1]:
                raise
            answer = await super().get_response(PAGE, scope)
        # Names of bundles hold a hash of their content; the page and the configuration have to be looked at again.
        named_by_content = re.search(r"\b[0-9a-f]{16}\.(?:js|wasm|woff2|svg|png)$", path)
        answer.headers["Cache-Control"] = "private, max-age=31536000, immutable" if named_by_content else "no-cache"
        answer.headers.update(HEADERS)
        return answer


class Viewer:
    """The routes of the viewer in `folder`; `looks` is told who looked at which study."""

    def __init__(self, folder: Path, settings: OrthancSettings, requests: int, looks: Looks) -> None:
        self._settings = settings
        self._looks = looks
        self._requests = requests
        self._log = structlog.get_logger("viewer")
        # Each listener of the service has an event loop of its own, and a client belongs to one.
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, httpx.AsyncClient] = WeakKeyDictionary()
        self.routes: list[BaseRoute] = [
            Route(PATH.rstrip("/"), lambda _request: RedirectResponse(PATH)),
            Mount(PATH.rstrip("/"), _Files(directory=folder, html=True)),
            Route("/dicom-web/{path:path}", self.read),
        ]

    @classmethod
    def of(cls, settings: Settings, looks: Looks) -> Viewer | None:
        """Return the viewer of the settings, None when none is installed.

        One that the settings name and that is not there is logged and does not stop the service: heads are read without
        it. `appliance doctor` calls it a fault.
        """
        folder = settings.viewer_folder
        if not installed_version(folder):
            if settings.viewer.folder is not None:
                structlog.get_logger("viewer").error("no viewer", folder=str(folder))
            return None
        return cls(folder, settings.orthanc, settings.viewer.requests, looks)

    async def read(self, request: Request) -> Response:
        """Pass a question about studies on to Orthanc, and its answer back."""
        path = request.path_params["path"]
        wanted = _READABLE.fullmatch(path)
        query = request.url.query
        if wanted is None or len(query) > _LONGEST_QUERY:
            return _error(404, "this is none of the resources that a viewer reads")
        origin = request.client.host if request.client is not None else ""
        self._looks.note(
            AuditEvent.LOOKED, identify(request.scope), study_uid=wanted["study"] or "", origin=origin, at="images"
        )
        client = self._client()
        asked = client.build_request(
            request.method,
            f"{self._settings.url.rstrip('/')}/dicom-web/{path}",
            params=query.encode() if query else None,
            headers={
                "Accept": request.headers.get("accept", "*/*"),
                "Accept-Encoding": "identity",
                # Orthanc writes whole addresses into its answers: those by which the viewer reaches it.
                "Forwarded": f"host={request.headers['host']};proto={request.url.scheme}",
            },
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.PoolTimeout:
            return _error(503, "too many requests for images are waiting", {"Retry-After": "5"})
        except httpx.HTTPError as error:
            return _error(503, f"Orthanc does not answer ({type(error).__name__})")
        if answer.status_code >= 400:
            await answer.aclose()
            return self._refusal(answer.status_code)
        headers = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
        return StreamingResponse(_pieces(answer), answer.status_code, headers | _IMAGES)

    def _refusal(self, status: int) -> Response:
        if status in (401, 403):  # our password, not the reader's: a 401 would make the browser ask for another
            self._log.error("turned down", status=status)
            return _error(502, "Orthanc turns the service down; `appliance doctor` says more")
        if status >= 500:
            return _error(502, f"Orthanc answered HTTP {status}")
        return _error(status, "Orthanc does not have this" if status == 404 else "Orthanc does not take this question")

    def _client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            user = self._settings.username
            client = self._clients[loop] = httpx.AsyncClient(
                auth=(user, self._settings.password) if user else None,
                timeout=httpx.Timeout(self._settings.timeout_s, pool=_WAIT_FOR_A_TURN_S),
                limits=httpx.Limits(max_connections=self._requests, max_keepalive_connections=self._requests),
                trust_env=False,
            )
        return client


async def _pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": message}, status, {**_IMAGES, **(headers or {})})
