# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which answer stands for a study, what a reader says of it, and in which group of the board the study therefore is.

These are rules on plain values; `board_rows` applies them to the rows of the ledger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol, TypeVar

from appliance.findings.outcome import Outcome


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


class Judgeable(Protocol):
    """What these rules need of a valid answer of a study."""

    @property
    def outcome(self) -> Outcome:
        """What it said."""

    @property
    def number(self) -> int:
        """The number of its job: newer answers have higher ones."""

    @property
    def requested(self) -> bool:
        """Whether a person asked for it."""

    @property
    def judged(self) -> bool:
        """Whether a reader's opinion of it counts."""


Judged = TypeVar("Judged", bound=Judgeable)


@dataclass(frozen=True)
class Standpoint:
    """One valid answer of a study, see `Judgeable`."""

    outcome: Outcome
    number: int = 0
    requested: bool = False
    judged: bool = False


def answers_that_count(answers: Sequence[Judged]) -> list[Judged]:
    """Return those valid answers of a study that say what is known of it.

    A refusal says nothing more once the study has been read. A series that somebody asked for and that could not be
    read does not change what is known.
    """
    read = max((one.number for one in answers if one.outcome is not Outcome.UNREAD), default=-1)
    told = [one for one in answers if one.outcome is not Outcome.UNREAD or (not one.requested and one.number > read)]
    return told or list(answers)


def most_urgent(answers: Sequence[Judged]) -> Judged | None:
    """Return the answer that stands for a study: the most urgent one, rather one that nobody judged, then the newest.

    None of none.
    """
    urgency = list(Outcome)
    counting = answers_that_count(answers)
    return min(counting, key=lambda one: (urgency.index(one.outcome), one.judged, -one.number), default=None)


def standing_of(answers: Sequence[Judgeable]) -> Standing:
    """Return the group of a study with these valid answers: unread as long as its `most_urgent` one is unjudged."""
    top = most_urgent(answers)
    if top is None:
        return Standing.NONE
    return Standing.READ if top.judged else _GROUP[top.outcome]
