# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's HTTP: the plugin's doorbell and button, status as JSON and as a page, metrics, health."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from appliance.errors import UnavailableError
from appliance.health import Health
from appliance.intake.doorbell import Bell, Ring
from appliance.ledger.ledger import Ledger
from appliance.metrics import Metrics
from appliance.orthanc import NotThereError, is_orthanc_id
from appliance.web.page import page
from appliance.web.status import status_document

_LARGEST_RING: Final = 2**20
_STUDIES: Final = 50
_MOST_STUDIES: Final = 1000
_PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


class OwnResultError(Exception):
    """The series that was asked for is a result of the appliance."""


class SameOriginOnly:
    """Turns down what another site's page makes a browser post: the service has no login of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            request = Request(scope)
            origin = request.headers.get("origin")
            if origin is not None and urlsplit(origin).netloc != request.headers.get("host"):
                await _error(403, "this was sent by a page of another site")(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


def web_app(
    bell: Bell,
    ledger: Ledger,
    health: Health,
    metrics: Metrics,
    model: Callable[[], dict[str, str] | None],
    analyze: Callable[[str], int],
    dead: Callable[[], list[str]],
) -> Starlette:
    """Return the ASGI application.

    `model` tells which model answers, None while that is not known. `analyze` queues the answer about one Orthanc
    series and returns the job; it raises `NotThereError`, `OwnResultError` or `UnavailableError`. `dead` names the
    threads that ended though nobody stopped them.
    """

    async def doorbell(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > _LARGEST_RING:
                return _error(413, f"a ring has at most {_LARGEST_RING} bytes")
        try:
            ring = Ring.of(json.loads(body))
        except (ValueError, RecursionError):
            return _error(400, 'not a ring: {"instances": {id: time}, "series": {}, "studies": {}, "orthanc": null}')
        bell.ring(ring)
        metrics.doorbells.inc()
        return Response(status_code=204)

    async def analyze_series(request: Request) -> Response:
        series = request.path_params["series"]
        if not is_orthanc_id(series):
            return _error(404, "this is not the identifier of an Orthanc series")
        try:
            job = await run_in_threadpool(analyze, series)
        except NotThereError:
            return _error(404, "Orthanc does not hold this series")
        except OwnResultError:
            return _error(409, "this series is a result of the appliance")
        except UnavailableError as error:
            return _error(503, str(error))
        return JSONResponse({"job": job}, 202)

    def document(request: Request) -> dict[str, Any]:
        try:
            limit = int(request.query_params.get("limit", _STUDIES))
        except ValueError:
            limit = _STUDIES
        study = request.query_params.get("study", "")
        return status_document(ledger, health, model(), min(max(limit, 1), _MOST_STUDIES), study)

    async def status(request: Request) -> Response:
        try:
            return JSONResponse(await run_in_threadpool(document, request), headers={"Cache-Control": "no-store"})
        except UnavailableError as error:
            return _error(503, str(error))

    async def status_page(request: Request) -> Response:
        try:
            return HTMLResponse(page(await run_in_threadpool(document, request)), headers=_PAGE_HEADERS)
        except UnavailableError as error:
            return _error(503, str(error))

    async def scrape(_request: Request) -> Response:
        metrics.ready.set(health.ready)
        for name, state in health.states.items():
            metrics.reachable.labels(name).set(state.well)
        return Response(await run_in_threadpool(generate_latest, metrics.registry), media_type=CONTENT_TYPE_LATEST)

    async def live(_request: Request) -> Response:
        ended = dead()
        return JSONResponse({"live": not ended, "ended": ended}, 503 if ended else 200)

    async def ready(_request: Request) -> Response:
        reasons = {name: state.reason for name, state in health.states.items() if not state.well}
        return JSONResponse({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)

    return Starlette(
        routes=[
            Route("/doorbell", doorbell, methods=["POST"]),
            Route("/series/{series}/analyze", analyze_series, methods=["POST"]),
            Route("/status", status),
            Route("/", status_page),
            Route("/metrics", scrape),
            Route("/health/live", live),
            Route("/health/ready", ready),
        ],
        middleware=[Middleware(SameOriginOnly)],
    )
