# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How many answers people and programs may ask for: requests must never keep a live study waiting."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from appliance.errors import ApplianceError

_MINUTE_S: Final = 60.0


class TooManyRequestsError(ApplianceError):
    """There were too many requests; asking again makes sense after `retry_after_s`, whole seconds."""

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = max(1, math.ceil(retry_after_s))


class RequestRate:
    """Allows a number of requests a minute; may be used from several threads."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._a_minute = a_minute
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: deque[float] = deque()

    def take(self) -> None:
        """Count one request; raises `TooManyRequestsError`, and counts nothing, when there were too many."""
        now = self._clock()
        with self._lock:
            while self._taken and self._taken[0] <= now - _MINUTE_S:
                self._taken.popleft()
            if len(self._taken) >= self._a_minute:
                raise TooManyRequestsError(
                    f"{self._a_minute} answers were asked for within a minute (service.requests_a_minute)",
                    self._taken[0] + _MINUTE_S - now,
                )
            self._taken.append(now)
