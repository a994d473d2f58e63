# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How fast the series of each study arrive, and so how long a quiet time means that nothing more is coming.

A scanner that sends a slice every three seconds is quiet between any two of them. So the quiet time is several times
the longest pause that a series of the study has made so far, at least the setting `intake.quiet_s` and at most
`intake.quiet_longest_s`. Pauses between series do not count: reconstructions come when they are done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from appliance.intake.change_feed import Placed

TIMES_THE_PAUSE: Final = 4.0

_UNSTAMPED_WITHIN_S: Final = 1.0
"""How much of a pause may be rounding, s: without the plugin's stamp an instance's time is a whole second."""


@dataclass
class _Pace:
    last: dict[str, float] = field(default_factory=dict)
    longest_pause_s: float = 0.0


class Paces:
    """The pace of every study that is being received."""

    def __init__(self, quiet_s: float, longest_s: float) -> None:
        self._quiet_s = quiet_s
        self._longest_s = max(quiet_s, longest_s)
        self._studies: dict[str, _Pace] = {}

    def note(self, placed: Placed) -> None:
        """Note an instance that arrived."""
        pace = self._studies.setdefault(placed.series.study, _Pace())
        before = pace.last.get(placed.series.id)
        if before is not None:
            pause_s = placed.received_at - before - (0.0 if placed.stamped else _UNSTAMPED_WITHIN_S)
            pace.longest_pause_s = max(pace.longest_pause_s, pause_s)
        pace.last[placed.series.id] = max(placed.received_at, before or 0.0)

    def quiet_s(self, study: str) -> float:
        """Return the time without an instance after which a study is decided, s."""
        pace = self._studies.get(study)
        if pace is None:
            return self._quiet_s
        return min(self._longest_s, max(self._quiet_s, TIMES_THE_PAUSE * pace.longest_pause_s))

    def forget(self, study: str) -> None:
        """Forget a study that was decided or deleted: later instances have another pace."""
        self._studies.pop(study, None)
