# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What an answer says, in one word, and which word is more urgent.

Marks and labels in Orthanc, rules, messages, reports, the board and opinions all use these words. The ledger and
Orthanc keep them, so a word never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """The outcome of an answer, the most urgent first.

    Unread comes before absent: the images of an unread answer may show anything.
    """

    PRESENT = "present"
    """Hemorrhage found."""
    UNDETERMINED = "undetermined"
    """None found, in a part of the head."""
    UNREAD = "unread"
    """Nothing could be read."""
    ABSENT = "absent"
    """None found in a whole head."""

    @classmethod
    def of_reading(cls, present: bool, partial: bool) -> Outcome:
        """Return the outcome of what was read; `partial` says that it is a part of the head."""
        if present:
            return cls.PRESENT
        return cls.UNDETERMINED if partial else cls.ABSENT

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Outcome:
        """Return the outcome of an answer by its facts (`delivery/summary.py`); without any, nothing was read."""
        return cls.of_reading(bool(facts.get("present")), is_partial(facts)) if facts else cls.UNREAD


def is_partial(facts: Mapping[str, Any]) -> bool:
    """Return whether an answer with these facts is about a part of the head; an older version's do not say so."""
    return bool((facts.get("coverage") or {}).get("partial"))
