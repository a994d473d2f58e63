# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How long steps take, to separate work from time in which the process was suspended (SIGSTOP, frozen container)."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Final

SUSPENDED: Final = 20.0
"""A step that takes this many times as long as usual did not work all the time."""
_RECENT: Final = 51
_FEWEST: Final = 10


class Pace:
    """The pace of a run: the median of its recent steps."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def worked_s(self, took_s: float) -> float:
        """Return how much of a step's time counts as work: only the usual time if it was suspended."""
        if len(self._recent) >= _FEWEST and took_s > SUSPENDED * (usual := median(self._recent)):
            return usual
        self._recent.append(took_s)
        return took_s
