# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The leases of the jobs that this service's workers hold, renewed only while a worker makes progress.

A service that merely runs renews nothing. When a worker dropped its job without recording how it ended (the ledger was
away), the same service takes the job up again as soon as the ledger answers. The owner and the number of the try say
who holds a job; the ledger refuses what anyone else writes about it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job


@dataclass
class _Hold:
    job: Job
    worker: str
    got_on_at: float


class Leases:
    """The jobs held by the workers of one service; may be used from several threads.

    Parameters
    ----------
    owner
        The service's identity and its session, `IDENTITY/SESSION`: the jobs of an earlier session are free.
    lease_s
        How long a job stays ours without a renewal, s.
    stall_s
        How long a worker may make no progress before its lease is no longer renewed, s.
    """

    def __init__(
        self,
        ledger: Ledger,
        owner: str,
        lease_s: float,
        stall_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.owner = owner
        self._ledger = ledger
        self._lease_s = lease_s
        self._stall_s = stall_s
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[int, _Hold] = {}
        self._left = False

    def claim(self) -> Job | None:
        """Take the next job; None when none is due. The caller drops it in the end (`drop`)."""
        if self._left:
            self.take_up()
        with self._lock:  # or `take_up` could meet a job that is claimed and not yet held
            job = self._ledger.queue.claim(self.owner, self._lease_s)
            if job is not None:
                self._held[job.id] = _Hold(job, threading.current_thread().name, self._clock())
            return job

    def get_on(self, job: Job) -> None:
        """Note that the worker of a job made progress."""
        with self._lock:
            hold = self._held.get(job.id)
            if hold is not None and hold.job.tries == job.tries:
                hold.got_on_at = self._clock()

    def drop(self, job: Job, recorded: bool) -> None:
        """Let go of a job; it is taken up again unless its end was recorded."""
        with self._lock:
            hold = self._held.get(job.id)
            if hold is not None and hold.job.tries == job.tries:
                del self._held[job.id]
            self._left |= not recorded

    def renew(self) -> None:
        """Renew the leases of the jobs whose workers make progress."""
        with self._lock:
            jobs = [hold.job for hold in self._held.values() if not self._is_stalled(hold)]
        self._ledger.queue.renew(jobs, self._lease_s)

    def take_up(self) -> list[Job]:
        """Queue again the jobs that we or others left unfinished, and return them."""
        with self._lock:
            left = self._ledger.queue.take_up(self.owner, [*self._held])
            self._left = False
            return left

    def give_up(self) -> None:
        """Queue again the jobs that are still held: the service ends before its workers do."""
        with self._lock:
            self._held.clear()
            self._ledger.queue.take_up(self.owner, ())

    def list_stalled(self) -> list[str]:
        """Return the workers (by their threads' names) that made no progress for too long."""
        with self._lock:
            return [hold.worker for hold in self._held.values() if self._is_stalled(hold)]

    def _is_stalled(self, hold: _Hold) -> bool:
        return self._clock() - hold.got_on_at > self._stall_s
