# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Who looked at what, and who was turned away, for the audit trail.

A page reloads itself every few seconds, so continued looks at the same thing make one entry in a quarter of an hour.
Entries are collected here and written by a thread of the service, so that no page waits for a ledger that is away; the
entries wait until it is back.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

from appliance.ledger.records import AuditEvent

AGAIN_S: Final = 900.0
_MOST: Final = 2000
_Key = tuple[AuditEvent, str, tuple[tuple[str, str], ...]]


class Looks:
    """The entries to write, the oldest first, and those noted recently; both bounded."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._noted: OrderedDict[_Key, float] = OrderedDict()
        self._waiting: list[_Key] = []

    def note(self, event: AuditEvent, who: str, **details: str) -> None:
        """Note that `who` did something, unless the same was noted recently."""
        key = event, who, tuple(sorted(details.items()))
        now = self._clock()
        with self._lock:
            before = self._noted.get(key)
            if before is not None and now < before + AGAIN_S:
                return
            if len(self._waiting) >= _MOST:  # the ledger has not answered for a long time
                return
            self._noted[key] = now
            self._noted.move_to_end(key)
            while len(self._noted) > _MOST:
                self._noted.popitem(last=False)
            self._waiting.append(key)

    def write(self, record: Callable[..., None]) -> None:
        """Pass the waiting entries to `record` (`Audit.record`). Raises its error; entries not taken keep waiting."""
        while True:
            with self._lock:
                if not self._waiting:
                    return
                event, who, details = self._waiting[0]
            told: dict[str, Any] = dict(details)
            record(event, who, **told)
            with self._lock:
                self._waiting.pop(0)
