# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The mark of an answer: what Orthanc's own routing works on, once the answer stands.

It is one metadata of Orthanc, with JSON as its value (docs/routing.md), on the series of the report and on the study.
There is only one, because Orthanc calls its scripts each time that a metadata is written: a rule sees the whole answer,
and only once. The study has the mark of the answer that stands for it, of those whose report Orthanc still holds; which
one that is, `ledger/outcomes.py` says for mark and board.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import structlog

from appliance.delivery.labels import set_labels
from appliance.delivery.unmarked import valid_unmarked
from appliance.errors import Refusal, UnavailableError, refusals_json
from appliance.findings.outcome import Outcome, is_partial
from appliance.ledger.ledger import Ledger
from appliance.ledger.outcomes import Standpoint, most_urgent
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

_NUMBER: Final = re.compile(r"-\d+$")
"""What separates the number from the kind in a key image's name; all key images are in one series."""


def mark(job: Job, series: Mapping[str, str]) -> dict[str, Any]:
    """Return the mark of the answer of a job, as it ended.

    `series` are Orthanc's identifiers of the series that hold its results, by kind (`results/kinds.py`).
    """
    told = {
        "answer": job.outcome.value,
        "refusals": [one["code"] for one in job.refusals],
        "job": job.id,
        "series": dict(series),
    }
    if job.outcome is Outcome.UNREAD:
        return told
    volumes: dict[str, float] = {}
    for lesion in job.answer.get("lesions", ()):
        volumes[lesion["type"]] = volumes.get(lesion["type"], 0.0) + lesion["volume_ml"]
    return {
        **told,
        "probability": round(job.answer["probability"], 4),
        "volume_ml": {kind: round(ml, 1) for kind, ml in volumes.items()},
        "partial": is_partial(job.answer),
        "model": job.answer.get("model", {}).get("version", ""),
    }


def label_of(answer: str) -> str:
    """Return the label of a study or report with this answer."""
    return f"hemorrhage-{answer}"


def standing_job(answers: Sequence[Job]) -> Job:
    """Return which of a study's valid answers, at least one, stands for the study.

    It is the one that stands for it on the board before a reader has judged any: no opinion changes a mark.
    """
    top = most_urgent([Standpoint(one.outcome, one.id, one.requested) for one in answers])
    return next(one for one in answers if top is not None and one.id == top.number)


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
        ended = replace(job, state=JobState.DONE, answer=dict(answer), refusals=refusals_json(refusals))
        self._write(ended, stored, others, kinds.SR.name)

    def refused(self, job: Job, refusals: Sequence[Refusal], stored: Collection[str]) -> None:
        """Mark a study that could not be read, and its report where one is among `stored`.

        A series that a person asked for does not change the mark of its study. Raises as `answered` does.
        """
        if job.requested:
            return
        # A refusal replaces no answer.
        others = [one for one in self._standing(job) if one.id != job.id and one.state is JobState.DONE]
        ended = replace(job, state=JobState.REFUSED, refusals=refusals_json(refusals))
        self._write(ended, stored, others, kinds.REFUSAL.name)

    def settle(self, job: Job) -> None:
        """Mark the study of a finished job again if it has several valid answers.

        Two workers that answer one study at the same time may each have seen the answers before the other's.
        """
        # The study and each report have a mark already: a failure here fails no answer.
        with contextlib.suppress(UnavailableError, OrthancError):
            standing = self._standing(job)
            if len(standing) > 1:
                self._put_all(job, {f"studies/{job.orthanc_study}": self._mark_of(standing_job(standing))})

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

    def _write(self, job: Job, stored: Collection[str], others: Sequence[Job], report: str) -> None:
        """Mark the `report`, by its kind, of a job whose results `stored` Orthanc holds, and the study."""
        results = self._ledger.jobs.results(job.id)
        own = mark(job, _series([one for one in results if one.orthanc_instance in stored]))
        top = standing_job([job, *others])
        marks = {f"studies/{job.orthanc_study}": own if top is job else self._mark_of(top)}
        if report in own["series"]:
            marks = {f"series/{own['series'][report]}": own, **marks}
        self._put_all(job, marks)

    def _put_all(self, job: Job, marks: Mapping[str, Mapping[str, Any]]) -> None:
        if job.retrieved:  # a prior that was fetched: Orthanc's own routing must not send it back
            return
        with valid_unmarked(self._metrics, self._log, "answered without a mark", job=job.id):
            for resource, value in marks.items():
                self._put(resource, value)
                set_labels(self._orthanc, resource, [label_of(value["answer"])], map(label_of, Outcome))

    def _mark_of(self, job: Job) -> dict[str, Any]:
        return mark(job, _series(self._held(job)))

    def _put(self, resource: str, value: Mapping[str, Any]) -> None:
        """Write a mark, unless it is there already: a repeated try would route the study again."""
        text = json.dumps(value, sort_keys=True)
        if self._orthanc.metadata(resource, METADATA) != text:
            self._orthanc.set_metadata(resource, METADATA, text)


def _series(results: Sequence[ResultObject]) -> dict[str, str]:
    """Return the series that hold results, by kind."""
    return {_NUMBER.sub("", one.kind): one.orthanc_series for one in results}
