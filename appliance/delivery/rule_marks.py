# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The words that rules mark a study with, in Orthanc: a metadata of its own, and labels where Orthanc has them.

The series of an answer's report bears the words of the rules that hold for it, and the study those of all its valid
answers. A newer answer takes the words of the one that it replaces away. Writing them again changes nothing, so it is
done before the ledger records that the rules were applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Final

import structlog

from appliance.delivery.labels import set_labels
from appliance.delivery.unmarked import valid_unmarked
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.ledger.states import JobState
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc

METADATA: Final = 4311
"""The number of the metadata in Orthanc; orthanc.json names it."""
NAME: Final = "HemorrhageMarks"


class RuleMarks:
    """Marks series and studies with the words of rules."""

    def __init__(self, orthanc: Orthanc, ledger: Ledger, metrics: Metrics) -> None:
        self._orthanc = orthanc
        self._ledger = ledger
        self._metrics = metrics
        self._log = structlog.get_logger("delivery")

    def settle(self, job: Job, words: Sequence[str]) -> None:
        """Write the words for a job's answer, and take those of answers away that have given way.

        Raises `UnavailableError` when Orthanc or the ledger does not answer.
        """
        jobs = self._ledger.jobs.of_study(job.orthanc_study)
        if not words and len(jobs) < 2:
            return
        with valid_unmarked(self._metrics, self._log, "no marks of rules written", job=job.id, study=job.study_uid):
            self._settle(job, words, jobs)

    def _settle(self, job: Job, words: Sequence[str], jobs: Sequence[Job]) -> None:
        of_study: set[str] = set()
        for one in jobs:
            series = self._report_series(one)
            is_valid = one.state in (JobState.DONE, JobState.REFUSED)
            if one.id == job.id and is_valid:
                own = set(words)
            else:
                own = self._words(f"series/{series}") if series and is_valid else set()
            if series:
                self._put(f"series/{series}", own)
            of_study |= own
        self._put(f"studies/{job.orthanc_study}", of_study)

    def _report_series(self, job: Job) -> str:
        """Return Orthanc's series of a job's report; empty where there is none, or no longer."""
        for result in self._ledger.jobs.results(job.id) if job.sr_uid else ():
            if result.sop_instance_uid == job.sr_uid and self._orthanc.holds_instance(result.orthanc_instance):
                return result.orthanc_series
        return ""

    def _words(self, resource: str) -> set[str]:
        text = self._orthanc.metadata(resource, METADATA)
        try:
            return {str(word) for word in json.loads(text)["marks"]} if text else set()
        except (ValueError, KeyError, TypeError):  # somebody else wrote it
            return set()

    def _put(self, resource: str, words: Iterable[str]) -> None:
        """Write words where others stand; each write of the metadata calls Orthanc's scripts.

        The metadata says which labels are ours. So it holds a word before its label is set and until that is removed:
        wherever Orthanc goes away in between, the next try still knows what to remove.
        """
        before = self._words(resource)
        wanted = set(words)
        if before - wanted:
            set_labels(self._orthanc, resource, (), before - wanted)
        if wanted != before:
            if wanted:
                self._orthanc.set_metadata(resource, METADATA, json.dumps({"marks": sorted(wanted)}))
            else:
                self._orthanc.remove_metadata(resource, METADATA)
        if wanted:
            set_labels(self._orthanc, resource, wanted, ())
