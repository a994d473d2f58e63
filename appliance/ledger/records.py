# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger hands out and takes in: rows as frozen dataclasses, refusals as the plain JSON they are kept in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from appliance.errors import Refusal
from appliance.ledger.states import JobState, StudyState


class Origin(StrEnum):
    """Where a series comes from."""

    BASELINE = "baseline"
    """In Orthanc before the appliance began: left alone unless it grows or is asked for."""
    SOURCE = "source"
    """Came from outside."""
    OWN = "own"
    """Written by the appliance: never read, never counted."""


@dataclass(frozen=True)
class Position:
    """How far Orthanc's change log was taken in; what did not change since `began` is older than the appliance."""

    seq: int
    fingerprint: str
    began: float


@dataclass(frozen=True)
class KnownSeries:
    """A series as the ledger knows it, with how many instances it had then."""

    id: str
    study: str
    origin: Origin
    instances: int


@dataclass(frozen=True)
class Arrival:
    """New instances of one study. `quiet_from` is when its quiet time starts, `live` that it was seen as it came."""

    study: str
    study_uid: str
    last_instance_at: float
    quiet_from: float
    live: bool
    series: tuple[KnownSeries, ...]


@dataclass(frozen=True)
class FollowedStudy:
    """A study as intake follows it."""

    id: str
    uid: str
    state: StudyState
    since: float
    last_instance_at: float
    quiet_from: float
    live: bool
    why: str
    refusals: list[dict[str, Any]]


@dataclass(frozen=True)
class NewJob:
    """A decision: which answer a study needs. `series` names the one that was asked for, empty for the whole study."""

    instance_set: str
    chosen_set: str
    left_out: tuple[str, ...] = ()
    series: str = ""


@dataclass(frozen=True)
class Job:
    """One answer, on its way or given."""

    id: int
    orthanc_study: str
    study_uid: str
    orthanc_series: str
    state: JobState
    since: float
    created: float
    last_instance_at: float
    live: bool
    instance_set: str
    chosen_set: str
    left_out: tuple[str, ...]
    answered_set: str
    answered_series: str
    owner: str
    next_try: float
    tries: int
    crashes: int
    error: str
    sr_class_uid: str
    sr_uid: str
    answer: dict[str, Any]
    refusals: list[dict[str, Any]]
    timing_ms: dict[str, float]
    turnaround_s: float | None

    @property
    def requested(self) -> bool:
        """Whether a person asked for it."""
        return bool(self.orthanc_series)

    def gives_way_to(self, newer: Job, series_uid: str) -> bool:
        """Whether the answer that `newer` reads from series `series_uid` takes the place of this one.

        An answer about the study takes the place of the older ones about the study, one that was asked for that of
        older ones that were asked for likewise; and each that of older ones about the series that it has read.
        """
        return self.state is JobState.DONE and (
            self.orthanc_series == newer.orthanc_series or self.answered_series == series_uid
        )


@dataclass(frozen=True)
class ResultObject:
    """A result that a job stores in Orthanc, by its identifiers there."""

    orthanc_instance: str
    orthanc_series: str
    kind: str
    sop_instance_uid: str


@dataclass(frozen=True)
class StudyStatus:
    """A study with its jobs, oldest first."""

    study: FollowedStudy
    jobs: tuple[Job, ...] = field(default=())


def plain(refusals: Iterable[Refusal]) -> list[dict[str, Any]]:
    """Return refusals as JSON keeps them."""
    return [{"series_uid": item.series_uid, "code": item.code.value, "reason": item.reason} for item in refusals]
