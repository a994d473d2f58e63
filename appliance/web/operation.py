# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The pages for IT: what waits, where answers went, who answers, which network reads, and the log of decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.drift.features import FEATURES
from appliance.health import Health
from appliance.ledger.ledger import Ledger
from appliance.ledger.models import find_shadow
from appliance.ledger.records import AuditEvent
from appliance.ledger.states import OPEN, DeliveryEvent, DeliveryState, InvalidTransitionError, deliveries_that
from appliance.metrics import Metrics
from appliance.opinions.agreement import agreements
from appliance.web.forms import done, read_form, whole_number
from appliance.web.login import identify
from appliance.web.looks import Looks
from appliance.web.pages import Pages
from appliance.web.rows import study_row

_QUEUE: Final = 100
_PAGE: Final = 50
_NEEDS_SOMEBODY: Final = (
    DeliveryState.WAITING,
    DeliveryState.SENDING,
    DeliveryState.REJECTED,
    DeliveryState.EXPIRED,
)
_RETRIED: Final = deliveries_that(DeliveryEvent.RETRY)
_DROPPED: Final = deliveries_that(DeliveryEvent.DROP)


class OperationPages:
    """The routes of the pages for IT.

    `model` returns which network answers, `orthanc_ahead_s` how far Orthanc's clock is ahead; `destinations` are the
    names in the settings.
    """

    def __init__(
        self,
        ledger: Ledger,
        health: Health,
        metrics: Metrics,
        pages: Pages,
        looks: Looks,
        model: Callable[[], dict[str, str] | None],
        orthanc_ahead_s: Callable[[], float | None],
        destinations: Collection[str],
    ) -> None:
        self._ledger = ledger
        self._health = health
        self._metrics = metrics
        self._pages = pages
        self._looks = looks
        self._model = model
        self._orthanc_ahead_s = orthanc_ahead_s
        self._destinations = destinations
        self.routes = [
            Route("/queue", self._page_of(self._show_queue)),
            Route("/deliveries", self._page_of(self._show_deliveries)),
            Route("/deliveries/{number}/retry", self.retry, methods=["POST"]),
            Route("/deliveries/{number}/drop", self.drop, methods=["POST"]),
            Route("/neighbours", self._page_of(self._show_neighbours)),
            Route("/model", self._page_of(self._show_model)),
            Route("/log", self._page_of(self._show_log)),
        ]

    def _page_of(self, show: Callable[[Request], Response]) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            origin = request.client.host if request.client is not None else ""
            self._looks.note(AuditEvent.LOOKED, identify(request.scope), origin=origin)
            return await run_in_threadpool(show, request)

        return answer

    def _show_queue(self, request: Request) -> Response:
        now, zone = self._pages.clock(), self._pages.zone
        found = self._ledger.board.on_the_way(_QUEUE + 1)
        jobs = {state.value: number for state, number in self._ledger.views.job_counts().items()}
        studies = {state.value: number for state, number in self._ledger.views.study_counts().items()}
        rows = [
            (study_row(one, None, now, zone), next((job for job in reversed(one.jobs) if job.state in OPEN), None))
            for one in found[:_QUEUE]
        ]
        return self._pages.answer(
            request,
            "queue.html",
            "/queue",
            rows=rows,
            is_cut=len(found) > _QUEUE,
            jobs=jobs,
            studies=studies,
            **self._neighbours(),
        )

    def _neighbours(self) -> dict[str, Any]:
        return {
            "neighbours": self._health.states,
            "is_ready": self._health.ready,
            "orthanc_ahead_s": self._orthanc_ahead_s(),
        }

    def _show_neighbours(self, request: Request) -> Response:
        return self._pages.answer(
            request, "neighbours.html", "/neighbours", destinations=self._list_destinations(), **self._neighbours()
        )

    def _list_destinations(self) -> list[dict[str, Any]]:
        """Return each destination, of the settings or of earlier ones, with what waits for it."""
        backlogs, counts = self._ledger.outbox.backlogs(), self._ledger.outbox.counts()
        told = []
        for name in sorted({*self._destinations, *(one for one, _ in counts)}):
            backlog = backlogs.get(name)
            told.append(
                {
                    "name": name,
                    "is_set": name in self._destinations,
                    "waiting": backlog.waiting if backlog else 0,
                    "oldest": backlog.oldest if backlog else None,
                    "delivered": counts.get((name, DeliveryState.DELIVERED), 0),
                    "given_up": counts.get((name, DeliveryState.REJECTED), 0)
                    + counts.get((name, DeliveryState.EXPIRED), 0),
                }
            )
        return told

    def _show_deliveries(self, request: Request) -> Response:
        asked = request.query_params
        everything = asked.get("all") == "1"
        to = asked.get("to", "")[:64]
        before = whole_number(asked.get("before", ""))
        found = self._ledger.outbox.deliveries(
            () if everything else _NEEDS_SOMEBODY, to, limit=_PAGE + 1, before=before
        )
        return self._pages.answer(
            request,
            "deliveries.html",
            "/deliveries",
            deliveries=found[:_PAGE],
            more=found[_PAGE - 1].id if len(found) > _PAGE else None,
            everything=everything,
            to=to,
            destinations=self._list_destinations(),
            retried=_RETRIED,
            dropped=_DROPPED,
        )

    async def retry(self, request: Request) -> Response:
        """Let a delivery be tried now."""
        return await self._act(request, lambda number, _: self._ledger.outbox.retry(number))

    async def drop(self, request: Request) -> Response:
        """Take a delivery out of the outbox."""
        return await self._act(request, self._ledger.outbox.drop)

    async def _act(self, request: Request, act: Callable[[int, str], object]) -> Response:
        number = whole_number(request.path_params["number"])
        fields = await read_form(request)
        if number is None or await run_in_threadpool(self._ledger.outbox.delivery, number) is None:
            raise HTTPException(404, "there is no delivery with this number")
        try:
            await run_in_threadpool(act, number, identify(request.scope))
        except InvalidTransitionError as error:
            raise HTTPException(409, str(error)) from None
        return done(request, fields.get("back", "/deliveries"))

    def _show_model(self, request: Request) -> Response:
        changes = self._ledger.models.changes()
        promoted = self._ledger.models.list_promoted()
        newest = self._ledger.views.newest_answers(1)
        return self._pages.answer(
            request,
            "model.html",
            "/model",
            model=self._model(),
            promoted=promoted[0] if promoted else None,
            shadow=find_shadow(changes),
            changes=changes[::-1][:_PAGE],
            threshold=newest[-1][1].get("threshold") if newest else None,
            agreements=[one for one in agreements(self._ledger.opinions.counts()) if one.model_sha256],
            drift=self._drift(),
        )

    def _drift(self) -> list[tuple[str, float, float]]:
        """Return each watched feature with its distance from the reference and what it may be by chance; if known."""
        told = []
        for feature in FEATURES:
            names = {"what": feature.name}
            distance = self._metrics.registry.get_sample_value("hemorrhage_drift_distance", names)
            limit = self._metrics.registry.get_sample_value("hemorrhage_drift_limit", names)
            if distance is not None and limit is not None and distance == distance:
                told.append((feature.name, distance, limit))
        return told

    def _show_log(self, request: Request) -> Response:
        study = request.query_params.get("study", "")[:64]
        before = whole_number(request.query_params.get("before", ""))
        found = self._ledger.audit.page(_PAGE + 1, before, study)
        return self._pages.answer(
            request,
            "log.html",
            "/log",
            entries=found[:_PAGE],
            more=found[_PAGE - 1].seq if len(found) > _PAGE else None,
            study=study,
        )
