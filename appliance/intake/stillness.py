# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a study has stopped growing, asked of Orthanc itself.

While the change log is not read to its end, its news of a study may be old: more instances may be on a later page, or
arriving just now. Orthanc knows; so a study counts as still once two looks, its quiet time apart, have found the same
instances. This uses only the clock of the service.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from appliance.intake.snapshot import Snapshots


class Stillness:
    """What Orthanc held of each study, and since when it has held exactly that; used by one thread."""

    def __init__(self, snapshots: Snapshots, clock: Callable[[], float]) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._seen: dict[str, tuple[str, float]] = {}

    def is_worth_a_look(self, study: str, quiet_s: float) -> bool:
        """Return whether another look could show more than the last one did."""
        return study not in self._seen or self._clock() >= self._seen[study][1] + quiet_s

    def has_lasted(self, study: str, quiet_s: float) -> bool:
        """Look at a study; return whether Orthanc has held the same instances of it for `quiet_s`.

        Raises what `Snapshots.listed` does.
        """
        now, there = self._clock(), self._snapshots.listed(study).instance_set
        before = self._seen.get(study)
        if before is None or before[0] != there:
            before = self._seen[study] = there, now
        return now >= before[1] + quiet_s

    def is_about(self, study: str, instance_set: str) -> bool:
        """Return whether these are the instances that the last look at a study found."""
        return study in self._seen and self._seen[study][0] == instance_set

    def keep_only(self, studies: Collection[str]) -> None:
        """Forget all other studies."""
        self._seen = {study: seen for study, seen in self._seen.items() if study in studies}
