# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer said, what a reader says of it, and in which group of the board its study therefore is.

These are rules on plain values; `board_rows` applies them to the rows of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from appliance.ledger.states import JobState


class Outcome(StrEnum):
    """The outcome of an answer, the most urgent first."""

    PRESENT = "present"
    """Hemorrhage found."""
    UNDETERMINED = "undetermined"
    """None found, in a part of the head."""
    UNREAD = "unread"
    """Nothing of the study could be read."""
    ABSENT = "absent"
    """None found in a whole head."""


class Standing(StrEnum):
    """The groups of the board, in the order in which they are shown; within each the newest study comes first."""

    FOUND = "found"
    """Hemorrhage found, and no reader has said anything of it yet."""
    UNDECIDED = "undecided"
    """None found in a part of the head, or not read at all; no reader has said anything of it yet."""
    CLEAR = "clear"
    """None found in a whole head; no reader has said anything of it yet."""
    READ = "read"
    """A reader has given an opinion on the most urgent answer."""
    NONE = ""
    """No answer to show: none given yet, or Orthanc no longer holds the study."""


SHOWN: Final = (Standing.FOUND, Standing.UNDECIDED, Standing.CLEAR, Standing.READ)
"""The order of the board. It is written here and nowhere else."""

_GROUP: Final = {
    Outcome.PRESENT: Standing.FOUND,
    Outcome.UNDETERMINED: Standing.UNDECIDED,
    Outcome.UNREAD: Standing.UNDECIDED,
    Outcome.ABSENT: Standing.CLEAR,
}


class Stance(StrEnum):
    """Whether a reader agrees with an answer."""

    AGREES = "agrees"
    DISAGREES = "disagrees"
    TAKEN_BACK = "taken back"
    """The reader's earlier opinion no longer counts; the answer counts as unread again."""


class Reason(StrEnum):
    """Why a reader disagrees."""

    NONE = ""
    FALSE_ALARM = "false alarm"
    """There is no hemorrhage at all."""
    MISSED_BLEED = "missed bleed"
    """There is a hemorrhage that the answer does not have."""
    WRONG_TYPE = "wrong type"
    """There is one, of another type."""
    WRONG_EXTENT = "wrong extent"
    """There is one, clearly larger, smaller or elsewhere."""
    READABLE = "readable"
    """The study could have been read."""
    OTHER = "other"
    """Something else, which the note says."""


REASONS: Final[Mapping[Outcome, tuple[Reason, ...]]] = {
    Outcome.PRESENT: (
        Reason.FALSE_ALARM,
        Reason.WRONG_TYPE,
        Reason.WRONG_EXTENT,
        Reason.MISSED_BLEED,
        Reason.OTHER,
    ),
    Outcome.UNDETERMINED: (Reason.MISSED_BLEED, Reason.READABLE, Reason.OTHER),
    Outcome.UNREAD: (Reason.MISSED_BLEED, Reason.READABLE, Reason.OTHER),
    Outcome.ABSENT: (Reason.MISSED_BLEED, Reason.OTHER),
}
"""With what a reader may disagree, by what the answer said."""

LONGEST_NOTE: Final = 500
"""Characters."""


def outcome_of(state: JobState, answer: Mapping[str, Any]) -> Outcome:
    """Return the outcome of a job that ended in `state` with these facts (empty for an unread study)."""
    if not answer or state in (JobState.REFUSED, JobState.FAILED):
        return Outcome.UNREAD
    if answer.get("present"):
        return Outcome.PRESENT
    return Outcome.UNDETERMINED if (answer.get("coverage") or {}).get("partial") else Outcome.ABSENT


@dataclass(frozen=True)
class Standpoint:
    """One valid answer of a study: its outcome, whether a person asked for it, and whether a reader judged it."""

    outcome: Outcome
    requested: bool
    judged: bool


def standing_of(answers: Sequence[Standpoint]) -> Standing:
    """Return the group of a study with these valid answers.

    Its most urgent outcome decides. As long as one answer with this outcome has no opinion, the study is unread. A
    requested series that could not be read does not change what is known about the study.
    """
    told = [one for one in answers if not (one.requested and one.outcome is Outcome.UNREAD)] or list(answers)
    if not told:
        return Standing.NONE
    urgency = list(Outcome)
    top = min((one.outcome for one in told), key=urgency.index)
    if all(one.judged for one in told if one.outcome is top):
        return Standing.READ
    return _GROUP[top]
