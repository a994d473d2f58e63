# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Hands decided studies from intake to a worker: the headers that are in memory already, and a wake-up.

Nothing depends on it: the job is in the ledger, and a worker that does not find its snapshot here takes a new one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from appliance.intake.snapshot import Snapshot

_KEPT: Final = 4


class Handover:
    """The newest few snapshots by job, and a bell that wakes the workers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = 0
        self._snapshots: OrderedDict[int, Snapshot] = OrderedDict()

    def give(self, job: int, snapshot: Snapshot) -> None:
        """Store the snapshot of a job that was just queued, and wake a worker."""
        with self._changed:
            self._snapshots[job] = snapshot
            while len(self._snapshots) > _KEPT:
                self._snapshots.popitem(last=False)
        self.wake()

    def take(self, job: int) -> Snapshot | None:
        """Take the snapshot of a job, None when there is none."""
        with self._changed:
            return self._snapshots.pop(job, None)

    def wake(self) -> None:
        """Make the workers look into the ledger."""
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def wake_ups(self) -> int:
        """Return the number of wake-ups so far, to be given to `wait`."""
        with self._changed:
            return self._rung

    def wait(self, wake_ups: int, longest_s: float) -> None:
        """Return once there are more than `wake_ups` wake-ups, or after `longest_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung != wake_ups, max(0.0, longest_s))
