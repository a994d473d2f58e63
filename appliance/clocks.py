# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Clocks: the one that the service waits by, and how far Orthanc's is from it.

All waiting goes by `SteadyClock`, which corrections of the machine's clock do not move. Orthanc gives times by its own
clock and in whole seconds; `OrthancClock` says between which two times of ours they were. `iso` formats a time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

DAY_S: Final = 86_400
"""A day, s."""

_AGREE_S: Final = 2.0
"""A smaller difference is not reported."""


def iso(at: float) -> str:
    """Return a Unix time as ISO 8601, UTC, in milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock_words(ahead_s: float) -> str:
    """Return how far Orthanc's clock is ahead of ours for people: "its clock is 12 s behind"."""
    return f"its clock is {abs(ahead_s):.0f} s {'ahead' if ahead_s > 0 else 'behind'}"


class SteadyClock:
    """Unix time that runs evenly from the moment it was set; `origin` is the clock it is set from. Thread-safe."""

    def __init__(
        self,
        origin: Callable[[], float] = time.time,
        elapsed: Callable[[], float] = lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    ) -> None:
        self._origin = origin
        self._elapsed = elapsed
        self._zero = origin() - elapsed()

    def __call__(self) -> float:
        """Return the time."""
        return self._zero + self._elapsed()

    def drift_s(self) -> float:
        """Return how far `origin` is ahead of this clock now, s."""
        return self._origin() - self()

    def set_anew(self) -> None:
        """Take the time from `origin` again; only while nothing waits by this clock."""
        self._zero = self._origin() - self._elapsed()


class OrthancClock:
    """Orthanc's clock as seen from ours: bounds of the difference, which each look can only narrow.

    One look at a clock of whole seconds leaves a second of doubt; looks at different moments of the second narrow it.
    Looks that contradict each other mean that one of the clocks was set: then only the last one counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bounds: tuple[float, float] | None = None

    def look(self, before: float, told: float, after: float) -> None:
        """Learn that Orthanc `told` a time in whole seconds when ours was between `before` and `after`."""
        low, high = told - after, told + 1 - before
        with self._lock:
            if self._bounds is not None:
                narrowed = max(low, self._bounds[0]), min(high, self._bounds[1])
                if narrowed[0] <= narrowed[1]:
                    low, high = narrowed
            self._bounds = low, high

    @property
    def ahead_s(self) -> float | None:
        """How far Orthanc's clock is ahead of ours, s; 0 when they may agree, None before it was looked at."""
        bounds = self._bounds
        if bounds is None:
            return None
        low, high = bounds
        return 0.0 if low <= 0 <= high else (low + high) / 2

    @property
    def agrees(self) -> bool:
        """Whether the two clocks are near enough that nobody needs to be told."""
        return abs(self.ahead_s or 0.0) < _AGREE_S

    def to_our_time(self, told: float) -> float:
        """Return the time by our clock for one that Orthanc told, as well as the difference is known."""
        return told - (self.ahead_s or 0.0)

    def earliest_time(self, told: float) -> float:
        """Return the earliest time by our clock at which Orthanc's clock can have shown this."""
        return told - self._bounds[1] if self._bounds is not None else float("-inf")

    def latest_time(self, told: float) -> float:
        """Return the latest time by our clock at which Orthanc's clock can have shown this."""
        return told + 1 - self._bounds[0] if self._bounds is not None else float("inf")
