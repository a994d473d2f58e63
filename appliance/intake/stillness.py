# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether a study has stopped growing, asked of Orthanc itself.

While the change log is not read to its end, its news of a study may be old: more instances may be on a later page, or
arriving just now. Orthanc knows; so a study counts as still once two looks, its quiet time apart, have found the same
instances. This uses only the clock of the service. The last instance may have come later than the log shows so far;
else studies that are decided meanwhile would overtake those whose last instance came before.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from appliance.intake.snapshot import Listed, Snapshots


@dataclass(frozen=True)
class _Seen:
    """The instances that a look found, since when they have been these, and when the last of them came."""

    instance_set: str
    since: float
    last_instance_at: float


class Stillness:
    """What Orthanc held of each study, and since when it has held exactly that; used by one thread.

    `last_instance_at` returns when the last instance of a listed study came, as far as is known.
    """

    def __init__(
        self, snapshots: Snapshots, clock: Callable[[], float], last_instance_at: Callable[[Listed], float]
    ) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._last_instance_at = last_instance_at
        self._seen: dict[str, _Seen] = {}

    def is_worth_a_look(self, study: str, quiet_s: float) -> bool:
        """Return whether another look could show more than the last one did."""
        return study not in self._seen or self._clock() >= self._seen[study].since + quiet_s

    def has_lasted(self, study: str, quiet_s: float) -> bool:
        """Look at a study; return whether Orthanc has held the same instances of it for `quiet_s`.

        Raises what `Snapshots.listed` does.
        """
        now, there = self._clock(), self._snapshots.listed(study)
        before, last = self._seen.get(study), self._last_instance_at(there)
        if before is None or before.instance_set != there.instance_set:
            before = _Seen(there.instance_set, now, last)
        self._seen[study] = replace(before, last_instance_at=max(before.last_instance_at, last))
        return now >= before.since + quiet_s

    def is_about(self, study: str, instance_set: str) -> bool:
        """Return whether these are the instances that the last look at a study found."""
        return study in self._seen and self._seen[study].instance_set == instance_set

    def last_instance_at(self, study: str) -> float:
        """Return when the last instance of a study came, as far as the looks at it have shown; else -inf."""
        return self._seen[study].last_instance_at if study in self._seen else float("-inf")

    def keep_only(self, studies: Collection[str]) -> None:
        """Forget all other studies."""
        self._seen = {study: seen for study, seen in self._seen.items() if study in studies}
