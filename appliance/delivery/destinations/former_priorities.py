# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the outbox keeps about the workitems of a delivery: priorities before they were raised, or since when none is.

A handle has at most 120 characters and a UID up to 64, so a workitem is named by the first eight hexadecimal digits of
the SHA-256 of its UID: `1a2b3c4d:L` was LOW (M: MEDIUM, H: HIGH, -: none), `1a2b3c4d:R` has been restored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

_LETTERS: Final = {"LOW": "L", "MEDIUM": "M", "HIGH": "H", "": "-"}
_PRIORITIES: Final = {letter: priority for priority, letter in _LETTERS.items()}
_BACK: Final = "R"
_ENTRY: Final = re.compile(r"\b([0-9a-f]{8}):([LMHR-])")
_SINCE: Final = re.compile(r"\bnone since ([0-9]+)\b")
_MOST: Final = 10
"""So many entries of eleven characters fit a handle; workitems of one study beyond them stay raised."""


@dataclass(frozen=True)
class FormerPriorities:
    """Workitems by the letters of what was done: their priority before they were raised, or that it was restored."""

    entries: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, *texts: str) -> FormerPriorities:
        """Read handles and receipts, the oldest first; of entries about one workitem the last counts."""
        return cls({name: letter for text in texts for name, letter in _ENTRY.findall(text)})

    def __bool__(self) -> bool:
        return bool(self.entries)

    @property
    def text(self) -> str:
        """The entries as a handle has them."""
        return ",".join(f"{name}:{letter}" for name, letter in self.entries.items())

    def with_former(self, uid: str, priority: str) -> FormerPriorities:
        """Return these and the priority of a workitem before it is raised; an unknown one is kept as empty."""
        return self._with(uid, _LETTERS.get(priority, _LETTERS[""]))

    def with_restored(self, uid: str) -> FormerPriorities:
        """Return these and that the priority of a workitem was restored."""
        return self._with(uid, _BACK)

    def former(self, uid: str) -> str | None:
        """Return the priority of a workitem before it was raised, empty if it had none; None if it was not raised."""
        return _PRIORITIES.get(self.entries.get(_name(uid), ""))

    def _with(self, uid: str, letter: str) -> FormerPriorities:
        name = _name(uid)
        if name not in self.entries and len(self.entries) >= _MOST:
            return self
        return FormerPriorities({**self.entries, name: letter})


def note_none_since(since: float) -> str:
    """Return the handle of a delivery for which there has been no workitem since a time (Unix seconds)."""
    return f"none since {since:.0f}"


def none_since(handle: str) -> float | None:
    """Return since when there has been no workitem, as a handle says (Unix seconds); None if it does not."""
    found = _SINCE.search(handle)
    return float(found[1]) if found else None


def _name(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:8]
