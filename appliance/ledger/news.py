# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""News of the ledger inside one process: whoever waits for an entry is woken by the thread that wrote it.

Other processes on the same ledger are not told: they look by themselves from time to time.
"""

from __future__ import annotations

import threading
from typing import Final

ANSWERS: Final = "(answers)"
"""Told when a job has ended. Every other topic is the name of a destination for which something waits."""


class News:
    """Events by topic."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._followers: dict[str, list[threading.Event]] = {}

    def follow(self, topic: str, event: threading.Event) -> None:
        """Have `event` set whenever there is news of a topic."""
        with self._lock:
            self._followers.setdefault(topic, []).append(event)

    def tell(self, topic: str) -> None:
        """Wake whoever follows a topic; call this once the transaction has been committed."""
        with self._lock:
            for event in self._followers.get(topic, ()):
                event.set()
