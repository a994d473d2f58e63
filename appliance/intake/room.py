# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The bound on the queue: how many answers may wait, and which study is let in first once there is room.

A study that finds the queue full is not dropped: the ledger still follows it, with the reason, and it is decided as
soon as an answer has left the queue. Memory holds only the order of these studies, two numbers each.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, groupby, zip_longest

from appliance.ledger.ledger import Ledger
from appliance.ledger.records import ROUTINE, FollowedStudy
from appliance.ledger.states import OPEN
from appliance.metrics import Metrics


class Room:
    """Room in the queue of one ledger, for at most `most` answers; used by the one thread of intake."""

    def __init__(self, ledger: Ledger, most: int, metrics: Metrics) -> None:
        self._ledger = ledger
        self._most = most
        self._metrics = metrics
        self._postponed: dict[str, tuple[float, int]] = {}

    def left(self) -> int:
        """Return how many more answers may be queued."""
        counts = self._ledger.views.job_counts()
        return max(0, self._most - sum(counts[state] for state in OPEN))

    def in_order(self, followed: Sequence[FollowedStudy], fresh_from: float = float("-inf")) -> list[FollowedStudy]:
        """Return the studies in the order in which they are let in.

        The order is that of the queue itself: live studies first, then by priority, then by their last instance.
        Studies whose last instance came at `fresh_from` or later alternate with older ones, so that neither a backlog
        nor a steady flow keeps the others waiting.
        """
        self._postponed = {study.id: self._postponed[study.id] for study in followed if self.is_postponed(study)}
        self._metrics.studies_without_room.set(len(self._postponed))

        def rank(study: FollowedStudy) -> tuple[bool, int]:
            return not study.live, -self._postponed.get(study.id, (0.0, ROUTINE))[1]

        ordered: list[FollowedStudy] = []
        for _, group in groupby(sorted(followed, key=lambda study: (*rank(study), study.quiet_from)), rank):
            fresh: list[FollowedStudy] = []
            older: list[FollowedStudy] = []
            for study in group:
                is_fresh = study.quiet_from >= fresh_from and not self.is_postponed(study)
                (fresh if is_fresh else older).append(study)
            ordered += [study for study in chain(*zip_longest(fresh, older)) if study is not None]
        return ordered

    def is_postponed(self, study: FollowedStudy) -> bool:
        """Return whether a study found the queue full and has not changed since."""
        kept = self._postponed.get(study.id)
        return kept is not None and kept[0] == study.quiet_from

    def is_in(self, study: FollowedStudy) -> bool:
        """Return whether an answer about a study is in the queue already, which the next one would replace.

        Such a study must not wait for room: the answer in the queue is not read before the study is decided.
        """
        return any(job.state in OPEN and not job.requested for job in self._ledger.jobs.of_study(study.id))

    def postpone(self, study: FollowedStudy, priority: int) -> None:
        """Let a study wait for room, and show the reason in the status."""
        if not self.is_postponed(study):
            self._postponed[study.id] = study.quiet_from, priority
            self._ledger.studies.explain(study, f"the queue is full ({self._most} studies): decided when there is room")
            self._metrics.studies_without_room.set(len(self._postponed))
