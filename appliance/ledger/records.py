# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the ledger returns and takes: rows as frozen dataclasses.

The annotation of a field says how it is stored. `tables` makes the tables from these, so a column is named only here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any

from sqlalchemy import JSON, Boolean, Float, Integer, String

from appliance.findings.outcome import Outcome
from appliance.ledger.columns import FreeText, Kept, Texts, Word
from appliance.ledger.outcomes import Reason, Stance, Standing
from appliance.ledger.states import DeliveryState, JobState, StudyState

OrthancId = Annotated[str, Kept(String(44))]
"""The key that Orthanc gives to a patient, study, series or instance."""
Uid = Annotated[str, Kept(String(64))]
"""A DICOM UID."""
Digest = Annotated[str, Kept(String(64))]
"""A sha256 in hexadecimal; empty for none."""
Time = Annotated[float, Kept(Float())]
"""Unix seconds, UTC."""
Number = Annotated[int, Kept(Integer())]
YesNo = Annotated[bool, Kept(Boolean())]
Prose = Annotated[str, Kept(FreeText())]
Refusals = Annotated[list[dict[str, Any]], Kept(JSON())]


OLD, ROUTINE, URGENT = 0, 1, 2
"""Priorities of jobs; the highest goes first (`intake.priority`)."""


class Origin(StrEnum):
    """Where a series comes from."""

    BASELINE = "baseline"
    """In Orthanc before the appliance was: ignored unless it grows or somebody asks for it."""
    SOURCE = "source"
    """Came from outside."""
    OWN = "own"
    """Written by the appliance: never read, never counted."""


@dataclass(frozen=True)
class Position:
    """How far Orthanc's change log has been read; a series unchanged since `began` is older than the appliance.

    `fingerprint` is that of entry number `seq`: a restored database has another entry there.
    """

    seq: Number
    fingerprint: Annotated[str, Kept(String(160))]
    began: Time


@dataclass(frozen=True)
class KnownSeries:
    """A series as the ledger knows it, with the number of instances it had then."""

    id: Annotated[str, Kept(String(44), "orthanc_id", primary_key=True)]
    study: Annotated[str, Kept(String(44), "orthanc_study")]
    origin: Annotated[Origin, Kept(Word(Origin, 8))]
    instances: Number


@dataclass(frozen=True)
class Sweep:
    """A sweep over all series in progress: it has gone through the identifiers up to `after`.

    With `counting` (the change log started again) it also finds series that have grown, not only unknown ones.
    """

    counting: YesNo
    after: OrthancId = ""


@dataclass(frozen=True)
class UnseenSeries:
    """A series that could not be looked at: how often, and when it is tried again."""

    id: Annotated[str, Kept(String(44), "orthanc_id", primary_key=True)]
    tries: Number = 0
    next_try: Time = 0.0
    error: Prose = ""


@dataclass(frozen=True)
class Arrival:
    """New instances of one study. `quiet_from` is when its quiet time starts; `live`: it was seen as it arrived."""

    study: str
    study_uid: str
    last_instance_at: float
    quiet_from: float
    live: bool
    series: tuple[KnownSeries, ...]


@dataclass(frozen=True)
class FollowedStudy:
    """A study as intake follows it.

    `since` is when it entered its state; `live` says that it was seen as it arrived (so its turnaround is meaningful);
    `why` is what an incomplete study waits for. `looker` is the service (`IDENTITY/SESSION`) whose intake is looking at
    its images now, empty for none. `deaths` is how often a service ended during such a look, since a trial last read
    the study without a death. `standing` is its group on the board.
    """

    id: Annotated[str, Kept(String(44), "orthanc_id", primary_key=True)]
    uid: Annotated[str, Kept(String(64), "study_uid")]
    state: Annotated[StudyState, Kept(Word(StudyState, 16))]
    since: Time
    last_instance_at: Time
    quiet_from: Time
    live: YesNo
    why: Prose = ""
    refusals: Refusals = field(default_factory=list)
    looker: Annotated[str, Kept(String(80))] = ""
    deaths: Number = 0
    standing: Annotated[Standing, Kept(Word(Standing, 12))] = Standing.NONE


@dataclass(frozen=True)
class NewJob:
    """A decision: which answer a study needs. `series` is the one that was asked for, empty for the whole study.

    `deaths` is how often a service ended in the middle of the study before it was decided.
    """

    instance_set: str
    chosen_set: str
    left_out: tuple[str, ...] = ()
    series: str = ""
    priority: int = ROUTINE
    deaths: int = 0


@dataclass(frozen=True)
class Job:
    """One answer, in progress or given.

    `orthanc_series` is the one series that was asked for, empty for the study. `instance_set` is the sha256 of the
    study's instances when it was decided, `chosen_set` the slice-set hash of the best stack then, and `left_out` those
    of stacks that other jobs answer. `answered_set` and `answered_series` say which stack was read in the end.

    `owner` and `tries` together are the token of the worker that has the job. `crashes` counts the tries in which the
    pipeline broke, `deaths` those during which the service ended for whatever reason, and `kills` the processes that
    only read the study and died of it. `deaths_at_trial` is how many deaths there were when such a process last read
    all of it and lived.
    """

    id: Annotated[int, Kept(Integer(), primary_key=True)]
    orthanc_study: OrthancId
    study_uid: Uid
    orthanc_series: OrthancId
    state: Annotated[JobState, Kept(Word(JobState, 16))]
    since: Time
    created: Time
    last_instance_at: Time
    live: YesNo
    instance_set: Digest
    chosen_set: Digest
    left_out: Annotated[tuple[str, ...], Kept(Texts())] = ()
    answered_set: Digest = ""
    answered_series: Uid = ""
    owner: Annotated[str, Kept(String(80))] = ""
    lease_until: Time = 0.0
    next_try: Time = 0.0
    tries: Number = 0
    crashes: Number = 0
    deaths: Number = 0
    deaths_at_trial: Number = 0
    kills: Number = 0
    priority: Number = ROUTINE
    error: Prose = ""
    sr_class_uid: Uid = ""
    sr_uid: Uid = ""
    answer: Annotated[dict[str, Any], Kept(JSON())] = field(default_factory=dict)
    refusals: Refusals = field(default_factory=list)
    timing_ms: Annotated[dict[str, float], Kept(JSON())] = field(default_factory=dict)
    turnaround_s: Annotated[float | None, Kept(Float())] = None
    routed: YesNo = False
    """Whether the rules have been applied to it."""
    change: Annotated[dict[str, Any], Kept(JSON())] = field(default_factory=dict)
    """What has changed since the patient's head CT before this one, once for everybody who shows it; empty if there is
    none. See `findings/change.py`: `Comparison.facts` (`prior`, `hours`, `comparable`, and by type and `total`
    `then_ml`, `now_ml`, `difference_ml`, `percent`; `grown`, `grown_by`, `caveats`), or `Withheld.facts` (`withheld`,
    why nothing is compared)."""
    retrieved: YesNo = False
    """Whether its study was fetched from the PACS as a prior: rules apply only where they ask for it."""
    followed_up: YesNo = False
    """Whether the patient's other scans were looked for after it (`prior/follow_up.py`)."""

    @property
    def requested(self) -> bool:
        """Whether a person asked for it."""
        return bool(self.orthanc_series)

    @property
    def outcome(self) -> Outcome:
        """What its answer says, once it has ended."""
        if self.state in (JobState.REFUSED, JobState.FAILED):  # facts may be left of a try that broke later
            return Outcome.UNREAD
        return Outcome.of_facts(self.answer)

    @property
    def has_report(self) -> bool:
        """Whether a report of it stands: of its answer, or one that says that the study could not be read."""
        return self.state is JobState.DONE or (self.state is JobState.REFUSED and bool(self.sr_uid))

    @property
    def answer_key(self) -> str:
        """What identifies its answer: its report's UID, which the same answer given again has too; else its number."""
        return self.sr_uid or f"job {self.id}"

    def gives_way_to(self, newer: Job, series_uid: str) -> bool:
        """Whether the answer that `newer` reads from series `series_uid` takes the place of this one.

        An answer about the study replaces older ones about the study, and a requested answer older requested ones.
        Either also replaces older answers about the series that it read.
        """
        return self.has_report and (self.orthanc_series == newer.orthanc_series or self.answered_series == series_uid)


@dataclass(frozen=True)
class RetrievedStudy:
    """A study that was fetched from the PACS as the prior of a `job`, or is on its way."""

    study_uid: Annotated[str, Kept(String(64), primary_key=True)]
    job: Number
    at: Time


@dataclass(frozen=True)
class ResultObject:
    """A result that a job stores in Orthanc, by its identifiers there."""

    orthanc_instance: Annotated[str, Kept(String(44), primary_key=True)]
    orthanc_series: OrthancId
    kind: Annotated[str, Kept(String(32))]
    sop_instance_uid: Uid


@dataclass(frozen=True)
class Delivery:
    """What one destination gets of one answer: objects (`content`, by kind), or a message where that is empty.

    `key` tells it from any other, in all tries; `first` ones go before others; `follows` is the older delivery after
    which this one is sent though no rule asks for it, 0 for none. `owner` and `tries` together are the token of the
    service that sends it; `handle` is what the destination calls the transfer under way; `rejections` counts the tries
    in which the destination answered and did not take it; `receipt` is how it confirmed.
    """

    id: Annotated[int, Kept(Integer(), primary_key=True)]
    key: Annotated[str, Kept(String(36))]
    destination: Annotated[str, Kept(String(64))]
    job: Number
    orthanc_study: OrthancId
    study_uid: Uid
    rule: Annotated[str, Kept(String(64))]
    state: Annotated[DeliveryState, Kept(Word(DeliveryState, 16))]
    since: Time
    created: Time
    content: Annotated[tuple[str, ...], Kept(Texts())] = ()
    first: YesNo = False
    follows: Number = 0
    owner: Annotated[str, Kept(String(80))] = ""
    lease_until: Time = 0.0
    next_try: Time = 0.0
    tries: Number = 0
    rejections: Number = 0
    handle: Annotated[str, Kept(String(120))] = ""
    error: Prose = ""
    receipt: Prose = ""


@dataclass(frozen=True)
class Turn:
    """Which service sends to a destination, until when: one at a time, so that order holds."""

    destination: Annotated[str, Kept(String(64), primary_key=True)]
    owner: Annotated[str, Kept(String(80))] = ""
    lease_until: Time = 0.0


class AuditEvent(StrEnum):
    """What the audit trail tells of."""

    STARTED = "started"
    """The service started, with this version."""
    STOPPED = "stopped"
    """It was stopped in order."""
    ASKED = "asked"
    """Somebody asked for the answer about a series."""
    LOOKED = "looked"
    """Somebody looked at answers."""
    TURNED_AWAY = "turned away"
    """A request without an account, or whose role does not allow it."""
    DECIDED = "decided"
    """A study was answered: with what, by which model and threshold, of which slices."""
    REFUSED = "refused"
    """A study was not read, for these reasons."""
    RETRIEVED = "retrieved"
    """A study was asked for from the PACS, as the prior of another."""
    SENT = "sent"
    """Where the objects of an answer went, by kind and SOP Instance UID."""
    SUPERSEDED = "superseded"
    """A newer answer replaced this one."""
    DROPPED = "dropped"
    """Somebody took a delivery out of the outbox."""
    OPINION = "opinion"
    """Somebody agreed or disagreed with an answer, or took that back."""
    REMOVED = "removed"
    """The appliance removed a study from Orthanc, by its settings."""
    MODEL = "model"
    """Another version of the detector answers from now on: it was promoted, or brought back. Or one was removed."""
    GOLDEN = "golden"
    """Somebody confirmed a study's answer, which new versions of the detector have to find again, or took that back."""
    PRUNED = "pruned"
    """The oldest entries of this trail were removed, by its setting."""


@dataclass(frozen=True)
class AuditEntry:
    """One entry of the audit trail; `digest` is the sha256 of everything else in it, `previous` the digest before."""

    seq: Annotated[int, Kept(Integer(), primary_key=True)]
    at: Time
    who: Annotated[str, Kept(String(64))]
    event: Annotated[AuditEvent, Kept(Word(AuditEvent, 16))]
    study_uid: Uid = ""
    details: Annotated[dict[str, Any], Kept(JSON())] = field(default_factory=dict)
    previous: Digest = ""
    digest: Digest = ""


class ModelEvent(StrEnum):
    """What happened to a version of the detector."""

    LOADED = "loaded"
    """Triton loaded it, and it proved itself."""
    FAILED = "failed"
    """It did not load or did not prove itself; the version that answered still does."""
    PROMOTED = "promoted"
    """It answers studies from now on."""
    ROLLED_BACK = "rolled_back"
    """It answers studies again, as it did before the newer one was promoted."""
    SHADOWED = "shadowed"
    """It reads the studies that another version answers; its readings are kept and not delivered."""
    SHADOW_ENDED = "shadow_ended"
    """It reads them no more."""
    REMOVED = "removed"
    """Its folder was removed from the machine."""


@dataclass(frozen=True)
class ModelChange:
    """One thing that happened to a version of the detector: when, and `who` did it (user and machine).

    `served_as` is the name of the model in Triton; `version` and `sha256` are what the model states.
    """

    id: Annotated[int, Kept(Integer(), primary_key=True)]
    at: Time
    who: Annotated[str, Kept(String(160))]
    event: Annotated[ModelEvent, Kept(Word(ModelEvent, 16))]
    served_as: Annotated[str, Kept(String(120))]
    version: Annotated[str, Kept(String(64))]
    sha256: Digest
    note: Prose = ""


@dataclass(frozen=True)
class ShadowAnswer:
    """What a shadow version says of a job's study: `answer`, as in the job, or `unread`, why there is none."""

    job: Annotated[int, Kept(Integer(), primary_key=True)]
    sha256: Annotated[str, Kept(String(64), primary_key=True)]
    version: Annotated[str, Kept(String(64))]
    at: Time
    answer: Annotated[dict[str, Any], Kept(JSON())] = field(default_factory=dict)
    unread: Prose = ""


@dataclass(frozen=True)
class GoldenStudy:
    """A study whose answer somebody confirmed (`who`): a new version of the detector has to find the same in it.

    `slice_set` is the hash of the slices that were read; `answer` holds the job's `present`, `probability`, `lesions`
    and `model`.
    """

    study_uid: Annotated[str, Kept(String(64), primary_key=True)]
    orthanc_study: OrthancId
    series_uid: Uid
    slice_set: Digest
    at: Time
    who: Annotated[str, Kept(String(160))]
    note: Prose
    answer: Annotated[dict[str, Any], Kept(JSON())]


@dataclass(frozen=True)
class Opinion:
    """What a person says of an answer; the newest one about an answer counts, and none is ever changed.

    `answer_key` identifies the answer (`Job.answer_key`), and `outcome` is what it said; `model` and `model_sha256` are
    those of the network that gave it, empty for an unread study. `note` is the person's own words.
    """

    id: Annotated[int, Kept(Integer(), primary_key=True)]
    answer_key: Uid
    job: Number
    orthanc_study: OrthancId
    study_uid: Uid
    outcome: Annotated[Outcome, Kept(Word(Outcome, 16))]
    model: Annotated[str, Kept(String(64))]
    model_sha256: Digest
    at: Time
    who: Annotated[str, Kept(String(64))]
    stance: Annotated[Stance, Kept(Word(Stance, 16))]
    reason: Annotated[Reason, Kept(Word(Reason, 24))] = Reason.NONE
    note: Prose = ""


@dataclass(frozen=True)
class StudyStatus:
    """A study with its jobs, oldest first."""

    study: FollowedStudy
    jobs: tuple[Job, ...] = field(default=())
