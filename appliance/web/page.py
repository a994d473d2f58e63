# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The status page: the status document as HTML, one file without scripts or external content.

It reloads itself every few seconds. `templates/` defines its look; every value is escaped there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from appliance.clocks import clock_words
from appliance.ledger.states import OPEN, JobState, StudyState
from appliance.results.facts import lesion_detail, lesion_headline
from appliance.results.wording import covered_words, of_part
from appliance.steps import TURNAROUND_STEPS

TEMPLATES: Final = Path(__file__).parent / "templates"

_RELOADED_EVERY_S: Final = 5
_SHORTEST_SHOWN_MS: Final = 5

_HELD: Final = {JobState.WAITING, JobState.REFUSED, StudyState.INCOMPLETE}
_UNDER_WAY: Final = {*OPEN, StudyState.RECEIVING}


def page(document: Mapping[str, Any]) -> str:
    """Return the status document as an HTML page."""
    jobs = document["jobs"]
    return _ENVIRONMENT.get_template("status.html").render(
        document,
        reload_s=_RELOADED_EVERY_S,
        under_way=sum(jobs[state.value] for state in OPEN),
        answered=jobs[JobState.DONE.value] + jobs[JobState.SUPERSEDED.value],
    )


def _state_class(state: str) -> str:
    """Return the colour class of a state."""
    if state == JobState.FAILED:
        return "bad"
    if state in _HELD:
        return "held"
    return "" if state in _UNDER_WAY else "good"


def _steps(timing_ms: Mapping[str, float]) -> str:
    """Return the steps that took long enough to be mentioned, in seconds."""
    shown = [step for step in TURNAROUND_STEPS if timing_ms.get(step, 0) >= _SHORTEST_SHOWN_MS]
    return " · ".join(f"{step} {timing_ms[step] / 1000:.2f}" for step in shown)


def _moment(iso: str) -> str:
    """Return a time for people, to the second."""
    return iso[:19].replace("T", " ")


_ENVIRONMENT: Final = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined)
_ENVIRONMENT.filters.update(
    moment=_moment,
    state_class=_state_class,
    steps=_steps,
    clock_words=clock_words,
    covered=covered_words,
    of_part=of_part,
    headline=lesion_headline,
    detail=lesion_detail,
)
