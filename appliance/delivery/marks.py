# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The mark of an answer: what Orthanc's own routing works on, once the answer stands.

It is one metadata of Orthanc, with JSON as its value (docs/routing.md), on the series of the report and on the study.
There is only one, because Orthanc calls its scripts each time that a metadata is written: a rule sees the whole answer,
and only once. The study has the mark of the most urgent of its valid answers that Orthanc still holds.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

import structlog

from appliance.delivery.labels import set_labels
from appliance.delivery.unmarked import valid_unmarked
from appliance.errors import Refusal, UnavailableError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job, ResultObject
from appliance.ledger.states import JobState
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import OrthancError
from appliance.results import kinds

METADATA: Final = 4310
"""The number of the metadata in Orthanc, which leaves 1024 and more to its users; orthanc.json names it."""
NAME: Final = "HemorrhageAnswer"
"""The name that orthanc.json gives to it."""


class AnswerState(StrEnum):
    """The outcome of a study's answer, the most urgent last."""

    UNREAD = "unread"
    """Nothing of it could be read; `refusals` say why."""
    ABSENT = "absent"
    """No hemorrhage found."""
    UNDETERMINED = "undetermined"
    """None found, in a part of the head."""
    PRESENT = "present"
    """Hemorrhage found."""


_NUMBER: Final = re.compile(r"-\d+$")
"""What separates the number from the kind in a key image's name; all key images are in one series."""
_URGENCY: Final = {state: place for place, state in enumerate(AnswerState)}


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
        return {"answer": AnswerState.UNREAD, "refusals": list(refusals), "job": job, "series": dict(series)}
    volumes: dict[str, float] = {}
    for lesion in answer.get("lesions", ()):
        volumes[lesion["type"]] = volumes.get(lesion["type"], 0.0) + lesion["volume_ml"]
    partial = bool(answer.get("coverage", {}).get("partial"))  # an answer of an older version says nothing of it
    none_found = AnswerState.UNDETERMINED if partial else AnswerState.ABSENT
    return {
        "answer": AnswerState.PRESENT if answer["present"] else none_found,
        "probability": round(answer["probability"], 4),
        "volume_ml": {kind: round(ml, 1) for kind, ml in volumes.items()},
        "partial": partial,
        "model": answer.get("model", {}).get("version", ""),
        "refusals": list(refusals),
        "job": job,
        "series": dict(series),
    }


def label_of(answer: str) -> str:
    """Return the label of a study or report with this answer."""
    return f"hemorrhage-{answer}"


def most_urgent(marks: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the mark of a study: that of the most urgent answer, and of equal ones the newest."""
    return max(marks, key=lambda one: (_URGENCY[AnswerState(one["answer"])], one["job"]))


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
        others = [one for one in self._standing(job) if one.id != job.id and not one.gives_way_to(job, series_uid)]
        own = mark(job.id, answer, _codes(refusals), _series(self._stored(job, stored)))
        self._write(job, own, others, kinds.SR.name)

    def refused(self, job: Job, refusals: Sequence[Refusal], stored: Collection[str]) -> None:
        """Mark a study that could not be read, and its report where one is among `stored`.

        A series that a person asked for does not change the mark of its study. Raises as `answered` does.
        """
        if job.requested:
            return
        # A refusal replaces no answer.
        others = [one for one in self._standing(job) if one.id != job.id and one.state is JobState.DONE]
        own = mark(job.id, {}, _codes(refusals), _series(self._stored(job, stored)))
        self._write(job, own, others, kinds.REFUSAL.name)

    def settle(self, job: Job) -> None:
        """Mark the study of a finished job again if it has several valid answers.

        Two workers that answer one study at the same time may each have seen the answers before the other's.
        """
        # The study and each report have a mark already: a failure here fails no answer.
        with contextlib.suppress(UnavailableError, OrthancError):
            standing = self._standing(job)
            if len(standing) > 1:
                self._put_all(job, {f"studies/{job.orthanc_study}": most_urgent([*map(self._mark_of, standing)])})

    def _standing(self, job: Job) -> list[Job]:
        """Return the jobs of a study whose report is valid and held by Orthanc."""
        return [
            one
            for one in self._ledger.jobs.of_study(job.orthanc_study)
            if one.has_report and any(result.sop_instance_uid == one.sr_uid for result in self._held(one))
        ]

    def _held(self, job: Job) -> list[ResultObject]:
        """Return the results of a job that Orthanc holds."""
        results = self._ledger.jobs.results(job.id)
        return [one for one in results if self._orthanc.holds_instance(one.orthanc_instance)]

    def _stored(self, job: Job, stored: Collection[str]) -> list[ResultObject]:
        return [one for one in self._ledger.jobs.results(job.id) if one.orthanc_instance in stored]

    def _write(self, job: Job, own: Mapping[str, Any], others: Sequence[Job], report: str) -> None:
        marks = {f"studies/{job.orthanc_study}": most_urgent([own, *map(self._mark_of, others)])}
        if report in own["series"]:
            marks = {f"series/{own['series'][report]}": own, **marks}
        self._put_all(job, marks)

    def _put_all(self, job: Job, marks: Mapping[str, Mapping[str, Any]]) -> None:
        if job.retrieved:  # a prior that was fetched: Orthanc's own routing must not send it back
            return
        with valid_unmarked(self._metrics, self._log, "answered without a mark", job=job.id):
            for resource, value in marks.items():
                self._put(resource, value)
                set_labels(self._orthanc, resource, [label_of(value["answer"])], map(label_of, AnswerState))

    def _mark_of(self, job: Job) -> dict[str, Any]:
        answer = job.answer if job.state is JobState.DONE else {}
        return mark(job.id, answer, [one["code"] for one in job.refusals], _series(self._held(job)))

    def _put(self, resource: str, value: Mapping[str, Any]) -> None:
        """Write a mark, unless it is there already: a repeated try would route the study again."""
        text = json.dumps(value, sort_keys=True)
        if self._orthanc.metadata(resource, METADATA) != text:
            self._orthanc.set_metadata(resource, METADATA, text)


def _codes(refusals: Sequence[Refusal]) -> list[str]:
    return [refusal.code.value for refusal in refusals]


def _series(results: Sequence[ResultObject]) -> dict[str, str]:
    """Return the series that hold results, by kind."""
    return {_NUMBER.sub("", one.kind): one.orthanc_series for one in results}
