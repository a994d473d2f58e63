# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's HTTP: the plugin's doorbell and button, status as JSON, metrics, health, and the pages for people."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from appliance.errors import ApplianceError, UnavailableError
from appliance.health import Health
from appliance.intake.doorbell import Bell, Ring
from appliance.intake.requests import TooManyRequestsError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import AuditEvent
from appliance.metrics import Metrics
from appliance.orthanc_errors import NotThereError
from appliance.orthanc_records import is_orthanc_id
from appliance.web.board import BoardPage
from appliance.web.gate import LOOPBACK, Gate
from appliance.web.login import NOBODY, identify
from appliance.web.looks import Looks
from appliance.web.operation import OperationPages
from appliance.web.pages import STATIC, Pages
from appliance.web.patients import Archive, Patients
from appliance.web.status import status_document
from appliance.web.study import StudyPage
from appliance.web.viewer import Viewer

_LARGEST_RING: Final = 2**18
"""Bytes: the plugin's largest message has some 190 kB."""
_STUDIES: Final = 50
_MOST_STUDIES: Final = 1000


class OwnResultError(Exception):
    """The series that was asked for is a result of the appliance."""


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"error": message}, status)


class Appliance(Protocol):
    """What the web application needs of the service."""

    def model(self) -> dict[str, str] | None:
        """Return which model answers, None while that is not known."""
        ...

    def orthanc_ahead_s(self) -> float | None:
        """Return how far Orthanc's clock is ahead of the service's, s; None while that is not known."""
        ...

    def analyze(self, series: str, who: str) -> int:
        """Queue the answer about one Orthanc series that `who` asks for and return the job.

        Raises `NotThereError`, `OwnResultError`, `TooManyRequestsError` or `UnavailableError`.
        """
        ...

    def list_dead(self) -> list[str]:
        """Return the names of the threads that ended although nobody stopped them."""
        ...


class WebApp:
    """The routes of the service; `asgi` is the application for a server.

    It answers only requests to this machine's own names and to the hosts of `trusted`. `looks` is told who looked.
    `archive` is Orthanc, which knows the patients and holds the key images. `zone` is the site's time zone, None for
    that of the machine; `destinations` are those of the settings.
    """

    def __init__(
        self,
        appliance: Appliance,
        bell: Bell,
        ledger: Ledger,
        health: Health,
        metrics: Metrics,
        archive: Archive,
        trusted: Sequence[str] = (),
        looks: Looks | None = None,
        zone: tzinfo | None = None,
        destinations: Collection[str] = (),
        viewer: Viewer | None = None,
    ) -> None:
        self._appliance = appliance
        self._bell = bell
        self._ledger = ledger
        self._health = health
        self._metrics = metrics
        self._looks = looks or Looks()
        pages = self._pages = Pages(ledger.clock, zone)
        patients = Patients(archive)
        board = BoardPage(ledger, patients, pages, self._looks, lambda: appliance.model())
        study = StudyPage(ledger, archive, patients, pages, self._looks, viewer is not None)
        operation = OperationPages(
            ledger,
            health,
            metrics,
            pages,
            self._looks,
            lambda: appliance.model(),
            lambda: appliance.orthanc_ahead_s(),
            destinations,
        )
        self.asgi = Starlette(
            routes=[
                Route("/doorbell", self.ring, methods=["POST"]),
                Route("/series/{series}/analyze", self.analyze, methods=["POST"]),
                Route("/status", self.status),
                Route("/metrics", self.scrape),
                Route("/health/live", self.live),
                Route("/health/ready", self.ready),
                *board.routes,
                *study.routes,
                *operation.routes,
                Mount("/static", StaticFiles(directory=STATIC)),
                *(viewer.routes if viewer is not None else ()),
            ],
            middleware=[Middleware(Gate, trusted=(*LOOPBACK, *trusted))],
            exception_handlers={
                HTTPException: self._answer_refused,
                UnavailableError: self._answer_unavailable,
                ApplianceError: self._answer_fault,
            },
        )

    async def ring(self, request: Request) -> Response:
        """Put a message of the plugin in the box."""
        body = bytearray()
        try:
            async for part in request.stream():
                body += part
                if len(body) > _LARGEST_RING:
                    return _error(413, f"a ring has at most {_LARGEST_RING} bytes")
            ring = Ring.of(json.loads(body))
        except ClientDisconnect:  # an Orthanc that was killed in the middle of it: no fault of the service
            return _error(400, "half a ring")
        except (ValueError, RecursionError):
            return _error(400, 'not a ring: {"instances": {id: time}, "series": {}, "studies": {}, "orthanc": null}')
        self._bell.ring(ring)
        self._metrics.doorbells.inc()
        self._metrics.odd_entries.inc(ring.odd)
        return Response(status_code=204)

    async def analyze(self, request: Request) -> Response:
        """Queue the answer about one series that a person asks for."""
        series = request.path_params["series"]
        if not is_orthanc_id(series):
            return _error(404, "this is not the identifier of an Orthanc series")
        try:
            job = await run_in_threadpool(self._appliance.analyze, series, identify(request.scope))
        except NotThereError:
            return _error(404, "Orthanc does not hold this series")
        except OwnResultError:
            return _error(409, "this series is a result of the appliance")
        except TooManyRequestsError as error:
            told = _error(429, str(error))
            told.headers["Retry-After"] = str(error.retry_after_s)
            return told
        return JSONResponse({"job": job}, 202)

    async def status(self, request: Request) -> Response:
        """Answer the status document as JSON."""
        return JSONResponse(await run_in_threadpool(self._document, request), headers={"Cache-Control": "no-store"})

    def _document(self, request: Request) -> dict[str, Any]:
        try:
            limit = int(request.query_params.get("limit", _STUDIES))
        except ValueError:
            limit = _STUDIES
        study = request.query_params.get("study", "")
        limit = min(max(limit, 1), _MOST_STUDIES)
        at = {"study": study} if is_orthanc_id(study) else {}
        origin = request.client.host if request.client is not None else ""
        self._looks.note(AuditEvent.LOOKED, identify(request.scope), origin=origin, **at)
        model, ahead_s = self._appliance.model(), self._appliance.orthanc_ahead_s()
        return status_document(self._ledger, self._health, model, limit, study, orthanc_ahead_s=ahead_s)

    async def scrape(self, _request: Request) -> Response:
        """Answer Prometheus."""
        self._metrics.ready.set(self._health.ready)
        for name, state in self._health.states.items():
            self._metrics.reachable.labels(name).set(state.well)
        text = await run_in_threadpool(generate_latest, self._metrics.registry)
        return Response(text, media_type=CONTENT_TYPE_LATEST)

    async def live(self, request: Request) -> Response:
        """Answer 503 when a thread of the service has ended."""
        ended = self._appliance.list_dead()
        told = {} if identify(request.scope) == NOBODY else {"ended": ended}
        return JSONResponse({"live": not ended, **told}, 503 if ended else 200)

    async def ready(self, request: Request) -> Response:
        """Answer 503, with the reasons, while a study that arrived now would not be answered."""
        reasons = {name: state.reason for name, state in self._health.states.items() if not state.well}
        told = {} if identify(request.scope) == NOBODY else {"reasons": reasons, "model": self._appliance.model()}
        return JSONResponse({"ready": not reasons, **told}, 503 if reasons else 200)

    async def _answer_refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self._answer_why(request, error.status_code, error.detail, error.headers)

    async def _answer_unavailable(self, request: Request, error: Exception) -> Response:
        return self._answer_why(request, 503, str(error))

    async def _answer_fault(self, request: Request, error: Exception) -> Response:
        return self._answer_why(request, 500, str(error))

    def _answer_why(
        self, request: Request, status: int, message: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Answer a browser with a page that says why, and everybody else with JSON."""
        if "text/html" in request.headers.get("accept", "") and not request.headers.get("hx-request"):
            told = self._pages.fault(request, status, message)
            told.headers.update(headers or {})
            return told
        return JSONResponse({"error": message}, status, headers)
