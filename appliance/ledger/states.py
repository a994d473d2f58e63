# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The states of a study, a job and a delivery, and the only transitions between them, as tables; other pairs raise.

A *study* is followed while instances arrive; once decided it leads to a *job*, which is one answer. A study that grows
after its answer is followed again and may lead to another job. A *delivery* is what one destination gets of one answer.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from appliance.errors import ApplianceError


class StudyState(StrEnum):
    """Where intake stands with a study."""

    RECEIVING = "receiving"
    """Instances have arrived, and the quiet time is running."""
    INCOMPLETE = "incomplete"
    """Quiet, but its best candidate series is not complete, or there is none yet."""
    DECIDED = "decided"
    """Looked at: either a job was made, or there was nothing new to answer."""
    DELETED = "deleted"
    """Orthanc no longer holds it."""


class StudyEvent(StrEnum):
    """What happens to a study."""

    ARRIVE = "arrive"
    MISS = "miss"
    DECIDE = "decide"
    DELETE = "delete"


class JobState(StrEnum):
    """Where a job stands. The values are metric labels and stand in `/status`."""

    QUEUED = "queued"
    """Decided; no worker has it yet."""
    RUNNING = "running"
    """A worker is reading it."""
    WAITING = "waiting"
    """A try failed; the next one has a time."""
    DELIVERING = "delivering"
    """Its results are made and are being stored."""
    DONE = "done"
    """Its SR and all other results are in Orthanc."""
    SUPERSEDED = "superseded"
    """Done, or refused with a report; a later answer about the same study took its place."""
    REFUSED = "refused"
    """Not read, for the reasons it names."""
    FAILED = "failed"
    """Given up by an older version, which had no refusal for a study that breaks the pipeline."""
    WITHDRAWN = "withdrawn"
    """The study changed before a worker took it; another job has replaced it."""


class JobEvent(StrEnum):
    """What happens to a job."""

    CLAIM = "claim"
    POSTPONE = "postpone"
    REFUSE = "refuse"
    DELIVER = "deliver"
    FINISH = "finish"
    INTERRUPT = "interrupt"
    SUPERSEDE = "supersede"
    WITHDRAW = "withdraw"


class DeliveryState(StrEnum):
    """Where a delivery stands. The values are metric labels and stand in `/status`."""

    WAITING = "waiting"
    """Not tried yet, or a try did not succeed."""
    SENDING = "sending"
    """Being sent."""
    DELIVERED = "delivered"
    """Its destination has confirmed it."""
    REJECTED = "rejected"
    """Its destination will never take it, for the reason that is kept."""
    EXPIRED = "expired"
    """Tried in vain for delivery.give_up_days."""
    SUPERSEDED = "superseded"
    """A newer answer came before it was delivered."""
    DROPPED = "dropped"
    """A person took it out."""


class DeliveryEvent(StrEnum):
    """What happens to a delivery."""

    CLAIM = "claim"
    CONFIRM = "confirm"
    POSTPONE = "postpone"
    REJECT = "reject"
    EXPIRE = "expire"
    INTERRUPT = "interrupt"
    SUPERSEDE = "supersede"
    DROP = "drop"
    RETRY = "retry"


_DELIVERY: Final = {
    (DeliveryState.WAITING, DeliveryEvent.CLAIM): DeliveryState.SENDING,
    (DeliveryState.WAITING, DeliveryEvent.EXPIRE): DeliveryState.EXPIRED,
    (DeliveryState.WAITING, DeliveryEvent.SUPERSEDE): DeliveryState.SUPERSEDED,
    (DeliveryState.WAITING, DeliveryEvent.DROP): DeliveryState.DROPPED,
    (DeliveryState.WAITING, DeliveryEvent.RETRY): DeliveryState.WAITING,
    (DeliveryState.SENDING, DeliveryEvent.CONFIRM): DeliveryState.DELIVERED,
    (DeliveryState.SENDING, DeliveryEvent.POSTPONE): DeliveryState.WAITING,
    (DeliveryState.SENDING, DeliveryEvent.REJECT): DeliveryState.REJECTED,
    (DeliveryState.SENDING, DeliveryEvent.EXPIRE): DeliveryState.EXPIRED,
    (DeliveryState.SENDING, DeliveryEvent.SUPERSEDE): DeliveryState.SUPERSEDED,  # a newer answer came before this try
    (DeliveryState.SENDING, DeliveryEvent.INTERRUPT): DeliveryState.WAITING,  # its service ended
    (DeliveryState.REJECTED, DeliveryEvent.RETRY): DeliveryState.WAITING,
    (DeliveryState.REJECTED, DeliveryEvent.DROP): DeliveryState.DROPPED,
    (DeliveryState.REJECTED, DeliveryEvent.SUPERSEDE): DeliveryState.SUPERSEDED,
    (DeliveryState.EXPIRED, DeliveryEvent.RETRY): DeliveryState.WAITING,
    (DeliveryState.EXPIRED, DeliveryEvent.DROP): DeliveryState.DROPPED,
    (DeliveryState.EXPIRED, DeliveryEvent.SUPERSEDE): DeliveryState.SUPERSEDED,
    (DeliveryState.DROPPED, DeliveryEvent.RETRY): DeliveryState.WAITING,
    (DeliveryState.DROPPED, DeliveryEvent.SUPERSEDE): DeliveryState.SUPERSEDED,
}

OPEN: Final = (JobState.QUEUED, JobState.WAITING, JobState.RUNNING, JobState.DELIVERING)
"""States of a job that will still change by itself."""

_JOB: Final = {
    (JobState.QUEUED, JobEvent.CLAIM): JobState.RUNNING,
    (JobState.QUEUED, JobEvent.REFUSE): JobState.REFUSED,  # its source was deleted meanwhile
    (JobState.QUEUED, JobEvent.WITHDRAW): JobState.WITHDRAWN,
    (JobState.WAITING, JobEvent.CLAIM): JobState.RUNNING,
    (JobState.WAITING, JobEvent.REFUSE): JobState.REFUSED,
    (JobState.WAITING, JobEvent.WITHDRAW): JobState.WITHDRAWN,
    (JobState.RUNNING, JobEvent.POSTPONE): JobState.WAITING,
    (JobState.RUNNING, JobEvent.REFUSE): JobState.REFUSED,
    (JobState.RUNNING, JobEvent.DELIVER): JobState.DELIVERING,
    (JobState.RUNNING, JobEvent.INTERRUPT): JobState.QUEUED,  # its service ended, or could not record its end
    (JobState.DELIVERING, JobEvent.DELIVER): JobState.DELIVERING,  # its answer broke, and a report says so instead
    (JobState.DELIVERING, JobEvent.POSTPONE): JobState.WAITING,
    (JobState.DELIVERING, JobEvent.REFUSE): JobState.REFUSED,  # the source was deleted meanwhile
    (JobState.DELIVERING, JobEvent.FINISH): JobState.DONE,
    (JobState.DELIVERING, JobEvent.INTERRUPT): JobState.QUEUED,
    (JobState.DONE, JobEvent.SUPERSEDE): JobState.SUPERSEDED,
    (JobState.REFUSED, JobEvent.SUPERSEDE): JobState.SUPERSEDED,  # the report that the study could not be read
}

_STUDY: Final = {
    (StudyState.RECEIVING, StudyEvent.ARRIVE): StudyState.RECEIVING,
    (StudyState.RECEIVING, StudyEvent.MISS): StudyState.INCOMPLETE,
    (StudyState.RECEIVING, StudyEvent.DECIDE): StudyState.DECIDED,
    (StudyState.RECEIVING, StudyEvent.DELETE): StudyState.DELETED,
    (StudyState.INCOMPLETE, StudyEvent.ARRIVE): StudyState.RECEIVING,
    (StudyState.INCOMPLETE, StudyEvent.DECIDE): StudyState.DECIDED,
    (StudyState.INCOMPLETE, StudyEvent.DELETE): StudyState.DELETED,
    (StudyState.DECIDED, StudyEvent.ARRIVE): StudyState.RECEIVING,
    (StudyState.DECIDED, StudyEvent.DELETE): StudyState.DELETED,
    (StudyState.DELETED, StudyEvent.ARRIVE): StudyState.RECEIVING,  # sent again
    (StudyState.DELETED, StudyEvent.DELETE): StudyState.DELETED,
}


class InvalidTransitionError(ApplianceError):
    """An event that the state does not allow: a fault of the service itself."""


def job_after(state: JobState, event: JobEvent) -> JobState:
    """Return the state of a job after `event`; raises `InvalidTransitionError` for a pair that the table lacks."""
    try:
        return _JOB[state, event]
    except KeyError:
        raise InvalidTransitionError(f"a job that is {state} cannot {event}") from None


def study_after(state: StudyState, event: StudyEvent) -> StudyState:
    """Return the state of a study after `event`; raises `InvalidTransitionError` for a pair that the table lacks."""
    try:
        return _STUDY[state, event]
    except KeyError:
        raise InvalidTransitionError(f"a study that is {state} cannot {event}") from None


def delivery_after(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """Return the state of a delivery after `event`; raises `InvalidTransitionError` for a pair the table lacks."""
    try:
        return _DELIVERY[state, event]
    except KeyError:
        raise InvalidTransitionError(f"a delivery that is {state} cannot {event}") from None


def deliveries_that(event: DeliveryEvent) -> tuple[DeliveryState, ...]:
    """Return the states in which a delivery may undergo `event`."""
    return tuple(state for state, allowed in _DELIVERY if allowed is event)


def states_that(event: JobEvent) -> tuple[JobState, ...]:
    """Return the states in which a job may undergo `event`."""
    return tuple(state for state, allowed in _JOB if allowed is event)
