# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The mark of an answer: what Orthanc's own routing works on, once the answer stands.

It is one metadata of Orthanc, with JSON as its value (docs/routing.md), on the series of the report and on the study.
One metadata, because Orthanc calls its scripts each time that one is written: a rule sees the whole answer, and once.
The study bears the most urgent of its answers that stand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import structlog

from appliance.errors import Refusal
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.orthanc import NotThereError, Orthanc, OrthancError
from appliance.results import kinds

METADATA: Final = 4310
"""The number of the metadata in Orthanc, which leaves 1024 and more to its users; orthanc.json names it."""
NAME: Final = "HemorrhageAnswer"
"""The name that orthanc.json gives to it."""


class Call(StrEnum):
    """What a study's answer comes to, the most urgent last."""

    UNREAD = "unread"
    """Nothing of it could be read; `refusals` say why."""
    ABSENT = "absent"
    """No hemorrhage found."""
    UNDETERMINED = "undetermined"
    """None found, in a part of the head."""
    PRESENT = "present"
    """Hemorrhage found."""


_NUMBER: Final = re.compile(r"-\d+$")
"""What tells the key images of an answer apart: all lie in one series."""
_URGENCY: Final = {call: place for place, call in enumerate(Call)}


def mark(job: int, answer: Mapping[str, Any], refusals: Sequence[str], series: Mapping[str, str]) -> dict[str, Any]:
    """Return the mark of an answer.

    Parameters
    ----------
    job
        Its number in the ledger.
    answer
        The facts that `summary` returns; empty for a study of which nothing was read.
    refusals
        Codes of what was not read.
    series
        Orthanc's identifiers of the series that hold its results, by kind (`results/kinds.py`).
    """
    if not answer:
        return {"answer": Call.UNREAD, "refusals": list(refusals), "job": job, "series": dict(series)}
    volumes: dict[str, float] = {}
    for lesion in answer["lesions"]:
        volumes[lesion["type"]] = volumes.get(lesion["type"], 0.0) + lesion["volume_ml"]
    partial = bool(answer["coverage"]["partial"])
    call = Call.PRESENT if answer["present"] else Call.UNDETERMINED if partial else Call.ABSENT
    return {
        "answer": call,
        "probability": round(answer["probability"], 4),
        "volume_ml": {kind: round(ml, 1) for kind, ml in volumes.items()},
        "partial": partial,
        "model": answer["model"]["version"],
        "refusals": list(refusals),
        "job": job,
        "series": dict(series),
    }


def most_urgent(marks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the mark that a study bears: of the most urgent answer, the newest of those that are alike."""
    return max(marks, key=lambda one: (_URGENCY[Call(one["answer"])], one["job"]))


class Marks:
    """Marks series and studies in Orthanc."""

    def __init__(self, orthanc: Orthanc, ledger: Ledger, metrics: Metrics) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._log = structlog.get_logger("worker")

    def answered(
        self,
        job: Job,
        answer: Mapping[str, Any],
        refusals: Sequence[Refusal],
        series_uid: str,
        stored: Collection[str],
    ) -> None:
        """Mark the answer of a job that read series `series_uid` and whose results `stored` Orthanc holds now.

        Raises `UnavailableError` when Orthanc or the ledger does not answer.
        """
        others = [other for other in self._others(job) if not other.gives_way_to(job, series_uid)]
        self._write(job, mark(job.id, answer, _codes(refusals), self._series(job, stored)), others, kinds.SR.name)

    def refused(self, job: Job, refusals: Sequence[Refusal], stored: Collection[str]) -> None:
        """Mark a study that could not be read, and its report where one is among `stored`.

        A series that a person asked for leaves the mark of its study alone. Raises as `answered` does.
        """
        if job.requested:
            return
        others = [other for other in self._others(job) if other.state is JobState.DONE]  # a refusal replaces no answer
        self._write(job, mark(job.id, {}, _codes(refusals), self._series(job, stored)), others, kinds.REFUSAL.name)

    def _others(self, job: Job) -> list[Job]:
        """Return the other jobs of a study whose report stands."""
        of_study = self._ledger.jobs.of_study(job.orthanc_study)
        return [other for other in of_study if other.id != job.id and other.has_report]

    def _series(self, job: Job, stored: Collection[str] | None = None) -> dict[str, str]:
        """Return the series that hold the results of a job, by kind; with `stored`, of those that Orthanc holds."""
        results = self._ledger.jobs.results(job.id)
        return {
            _NUMBER.sub("", one.kind): one.orthanc_series
            for one in results
            if stored is None or one.orthanc_instance in stored
        }

    def _write(self, job: Job, own: Mapping[str, Any], others: Sequence[Job], report: str) -> None:
        marks = [own, *map(self._mark_of, others)]
        try:
            if report in own["series"]:
                self._put(f"series/{own['series'][report]}", own)
            self._put(f"studies/{job.orthanc_study}", most_urgent(marks))
        except NotThereError:  # deleted meanwhile: there is nothing to route
            return
        except OrthancError as error:  # one that takes no metadata: the answer stands all the same
            self._metrics.unmarked.inc()
            self._log.error("answered without a mark", error=describe(error))

    def _mark_of(self, job: Job) -> dict[str, Any]:
        answer = job.answer if job.state is JobState.DONE else {}
        return mark(job.id, answer, [one["code"] for one in job.refusals], self._series(job))

    def _put(self, resource: str, value: Mapping[str, Any]) -> None:
        """Write a mark, unless it stands there already: a try that is made again would route the study again."""
        text = json.dumps(value)
        if self._orthanc.metadata(resource, METADATA) != text:
            self._orthanc.set_metadata(resource, METADATA, text)


def _codes(refusals: Sequence[Refusal]) -> list[str]:
    return [refusal.code.value for refusal in refusals]
