# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The board: the studies in the order in which somebody has to look at them. For radiologists; `operation` is for IT.

`ledger/outcomes.py` defines the groups and their order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from appliance.ledger.board import BoardStudy, Place
from appliance.ledger.ledger import Ledger
from appliance.ledger.outcomes import SHOWN, Standing
from appliance.ledger.records import AuditEvent
from appliance.log import describe
from appliance.opinions.agreement import Agreement, agreements
from appliance.orthanc_records import is_orthanc_id
from appliance.web.login import identify
from appliance.web.looks import Looks
from appliance.web.moments import age_words
from appliance.web.pages import Pages
from appliance.web.patients import Patients
from appliance.web.rows import StudyRow, row_that_cannot_be_shown, study_row

_TITLES: Final = {
    Standing.FOUND: "Hemorrhage found – unread",
    Standing.UNDECIDED: "No clear answer – unread",
    Standing.CLEAR: "None found – unread",
    Standing.READ: "Read",
}
_FIRST: Final = {Standing.FOUND: 30, Standing.UNDECIDED: 20, Standing.CLEAR: 20, Standing.READ: 20}
"""How many studies of each group the first page shows."""
_PAGE: Final = 50
_COUNTED: Final = 1000
_ON_THE_WAY: Final = 10


@dataclass(frozen=True)
class Group:
    """A group of the board with its newest studies, where to go on and how long the oldest waits; empty at its end."""

    name: str
    title: str
    rows: tuple[StudyRow, ...]
    count: str
    more: str
    oldest: str


class BoardPage:
    """The routes of the board."""

    def __init__(
        self,
        ledger: Ledger,
        patients: Patients,
        pages: Pages,
        looks: Looks,
        model: Callable[[], dict[str, str] | None],
    ) -> None:
        self._ledger = ledger
        self._patients = patients
        self._pages = pages
        self._looks = looks
        self._model = model
        self.routes = [Route("/", self.show), Route("/board", self.show)]

    async def show(self, request: Request) -> Response:
        """Answer the board, or with `group` (and `after`) one page of one group."""
        origin = request.client.host if request.client is not None else ""
        self._looks.note(AuditEvent.LOOKED, identify(request.scope), origin=origin)
        return await run_in_threadpool(self._show, request)

    def _show(self, request: Request) -> Response:
        board, now = self._ledger.board, self._pages.clock()
        only = next((one for one in SHOWN if one.value == request.query_params.get("group")), None)
        after = place_of(request.query_params.get("after", ""))
        found: dict[Standing, list[BoardStudy]] = {}
        for standing in (only,) if only else SHOWN:
            most = _PAGE if only else _FIRST[standing]
            found[standing] = board.page(standing, most + 1, after if only else None)
        on_the_way = [] if only else board.on_the_way(_ON_THE_WAY + 1)
        shown = [one.study.id for studies in (on_the_way, *found.values()) for one in studies]
        patients, orthanc_answers = self._patients.of_studies(shown)

        def row(one: BoardStudy) -> StudyRow:
            patient = patients.get(one.study.id)
            try:
                return study_row(one, patient, now, self._pages.zone)
            except Exception as error:  # an entry that nobody foresaw must not hide the other studies
                structlog.get_logger("web").error("a study cannot be shown", study=one.study.uid, error=describe(error))
                return row_that_cannot_be_shown(one, patient, now, self._pages.zone)

        groups = []
        for standing, studies in found.items():
            most = _PAGE if only else _FIRST[standing]
            counted = board.count(standing, _COUNTED)
            groups.append(
                Group(
                    standing.value,
                    _TITLES[standing],
                    tuple(map(row, studies[:most])),
                    f"{_COUNTED - 1}+" if counted == _COUNTED else str(counted),
                    place_words(studies[most - 1].place) if len(studies) > most else "",
                    self._wait_of_oldest(standing, now) if len(studies) > most else "",
                )
            )
        return self._pages.answer(
            request,
            "board.html",
            "/",
            groups=groups,
            only=only.value if only else "",
            is_first=after is None,
            on_the_way=[row(one) for one in on_the_way[:_ON_THE_WAY]],
            more_on_the_way=len(on_the_way) > _ON_THE_WAY,
            orthanc_answers=orthanc_answers,
            agreement=None if only else self._agreement(),
        )

    def _wait_of_oldest(self, standing: Standing, now: float) -> str:
        at = self._ledger.board.oldest(standing)
        return "" if at is None or standing is Standing.READ else age_words(now - at)

    def _agreement(self) -> Agreement | None:
        """Return what readers said of the network that answers; None while they have said nothing of it."""
        model = self._model()
        if model is None:
            return None
        found = agreements(self._ledger.opinions.counts())
        return next((one for one in found if one.model_sha256 == model.get("sha256")), None)


def place_words(place: Place) -> str:
    """Return a place on the board for an address."""
    return f"{place.last_instance_at!r},{place.study}"


def place_of(text: str) -> Place | None:
    """Return the place that an address names; None for none, or something else."""
    at, comma, study = text.partition(",")
    try:
        last_instance_at = float(at)
    except ValueError:
        return None
    if not comma or not is_orthanc_id(study) or not math.isfinite(last_instance_at):
        return None
    return Place(last_instance_at, study)
