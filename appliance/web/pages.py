# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How a page is made: templates that escape every value, what all pages show, and what a browser may do with one.

A page is read without a script. With scripts, its live part asks for itself every few seconds and is answered 204 as
long as it has not changed, so that nothing on the screen is touched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import tzinfo
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from appliance import __version__
from appliance.clocks import clock_words
from appliance.ledger.outcomes import Reason
from appliance.ledger.states import DeliveryState, JobState
from appliance.results.change_words import change_sentences
from appliance.results.facts import lesion_detail, lesion_headline
from appliance.results.wording import RESEARCH_USE
from appliance.web.login import may_act
from appliance.web.moments import Moment, moment, zone_words
from appliance.web.rows import refusal_title

TEMPLATES: Final = Path(__file__).parent / "templates"
STATIC: Final = Path(__file__).parent / "static"

NOTICE: Final = f"Not a medical device. {RESEARCH_USE}"
LIVE_S: Final = 5
"""How often the live part of a page asks for itself, s."""
PAGE_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    # A form says where it comes from only within this policy; to others nothing is told.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

TABS: Final = (
    ("/", "Board"),
    ("/queue", "Queue"),
    ("/deliveries", "Deliveries"),
    ("/neighbours", "Neighbours"),
    ("/model", "Model"),
    ("/log", "Log"),
)
FOR_THOSE_WHO_ACT: Final = ("/log",)
"""Tabs that accounts which may only look do not see, as they may not open them (`login.py`)."""


class Pages:
    """Renders the pages of one service; `zone` is the site's time zone, None for the machine's."""

    def __init__(self, clock: Callable[[], float], zone: tzinfo | None) -> None:
        self.clock = clock
        self.zone = zone
        self._environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(
            moment=self.moment,
            clock_words=clock_words,
            headline=lesion_headline,
            detail=lesion_detail,
            change_said=change_sentences,
            title_of=refusal_title,
            sentence=_sentence,
            reason_words=_reason_words,
            state_colour=_state_colour,
        )

    def moment(self, at: float) -> Moment:
        """Return a Unix time for people."""
        return moment(at, self.zone)

    def answer(
        self,
        request: Request,
        template: str,
        tab: str,
        *,
        live: bool = True,
        has_form: bool = False,
        status: int = 200,
        **values: Any,
    ) -> Response:
        """Answer a page, or only its live part when a page asks for that; 204 if it has that already.

        The live part is in the block `live` of the template. Without scripts a page reloads itself, unless it
        `has_form` in which somebody may be writing.
        """
        values |= {"may_act": may_act(request.scope), "here": _path_of(request)}
        found = self._environment.get_template(template)
        title, text = (
            Markup("".join(found.blocks[block](found.new_context(values))))  # the template has escaped its values
            for block in ("title", "live")
        )
        seen = hashlib.sha256(f"{title}\n{text}".encode()).hexdigest()[:16]
        if request.headers.get("hx-request"):
            if request.headers.get("x-seen") == seen:
                return Response(status_code=204, headers=PAGE_HEADERS)
            part = f'<div id="shown" data-seen="{seen}" data-title="{title}">{text}</div>'
            return HTMLResponse(part, headers=PAGE_HEADERS)
        whole = found.render(
            values,
            tab=tab,
            tabs=[one for one in TABS if values["may_act"] or one[0] not in FOR_THOSE_WHO_ACT],
            is_live=live,
            has_form=has_form,
            live_s=LIVE_S,
            seen=seen,
            title=title,
            notice=NOTICE,
            version=__version__,
            zone=zone_words(self.clock(), self.zone),
        )
        return HTMLResponse(whole, status, headers=PAGE_HEADERS)

    def fault(self, request: Request, status: int, message: str) -> Response:
        """Answer that something cannot be done, and why."""
        return self.answer(request, "fault.html", "", live=False, status=status, message=message, number=status)


def _path_of(request: Request) -> str:
    """Return the path and query of a page, to ask for it again."""
    return request.url.path + (f"?{request.url.query}" if request.url.query else "")


def _reason_words(reason: Reason) -> str:
    """Return a reason to disagree as it stands on its button."""
    return "Could have been read" if reason is Reason.READABLE else _sentence(reason)


def _sentence(text: str) -> str:
    """Return a text that begins with a capital; `capitalize` would also write "HU" small."""
    return text[:1].upper() + text[1:]


def _state_colour(state: str) -> str:
    """Return the class of the colour of a job's or a delivery's state."""
    if state in (JobState.FAILED, DeliveryState.REJECTED, DeliveryState.EXPIRED):
        return "bad"
    if state in (JobState.WAITING, JobState.REFUSED, "incomplete"):
        return "held"
    return "good" if state in (JobState.DONE, DeliveryState.DELIVERED) else ""
