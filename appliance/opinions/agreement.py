# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How often readers agreed with the answers: shares with their 95 % intervals.

Only answers that a reader judged count, and a study once for each network and outcome. The positive predictive value
needs no more than the positives that were read. What share of the bleeds was found cannot be known so: readers judge
negatives less often, and those that they do judge are not a fair sample. `found_of_judged` is therefore only about the
studies that were judged, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from appliance.findings.outcome import Outcome
from appliance.ledger.opinions import Count
from appliance.ledger.outcomes import Reason, Stance
from appliance.reading.proportion import wilson_interval


@dataclass(frozen=True)
class Share:
    """`part` of `whole`, with Wilson's score interval (Wilson, J Am Stat Assoc 1927)."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share, 0 to 1; not a number of nothing."""
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval, 0 to 1; not numbers of nothing."""
        return wilson_interval(self.part, self.whole)

    @property
    def words(self) -> str:
        """The share for people: "90 % (18 of 20; 95 % interval 70 to 97 %)"; "none judged yet" of nothing."""
        if not self.whole:
            return "none judged yet"
        low, high = map(_percent, self.interval)
        return f"{_percent(self.value)} % ({self.part} of {self.whole}; 95 % interval {low} to {high} %)"


def _percent(share: float) -> str:
    """Return a share in percent, so that only nothing reads 0 and only all of it reads 100."""
    percent = 100 * share
    for digits in (0, 1, 2):
        said = f"{percent:.{digits}f}"
        if float(said) not in (0.0, 100.0) or percent in (0.0, 100.0):
            return said
    return "more than 99.99" if percent > 50 else "less than 0.01"


@dataclass(frozen=True)
class Agreement:
    """What readers said of the answers of one network.

    Attributes
    ----------
    model, model_sha256
        The version; empty for studies that were not read by any.
    confirmed, false_alarms
        Studies with the answer "hemorrhage" in which a reader saw one, whatever its type and extent, and in which none.
    clear, missed
        Those without a hemorrhage that a reader agreed with, and those where one was seen.
    unclear
        Disagreements that say nothing of whether there is a hemorrhage (readable, other).
    """

    model: str
    model_sha256: str
    confirmed: int = 0
    false_alarms: int = 0
    clear: int = 0
    missed: int = 0
    unclear: int = 0

    @property
    def judged(self) -> int:
        """How many studies a reader judged."""
        return self.confirmed + self.false_alarms + self.clear + self.missed + self.unclear

    @property
    def positive_predictive_value(self) -> Share:
        """How many of the judged answers "hemorrhage" were one."""
        return Share(self.confirmed, self.confirmed + self.false_alarms)

    @property
    def clear_confirmed(self) -> Share:
        """How many of the judged answers without a hemorrhage were confirmed."""
        return Share(self.clear, self.clear + self.missed)

    @property
    def found_of_judged(self) -> Share:
        """In how many of the judged studies in which a reader saw a hemorrhage the appliance had found one."""
        return Share(self.confirmed, self.confirmed + self.missed)


def agreements(counts: Iterable[Count]) -> list[Agreement]:
    """Return what readers said of each network's answers, that with the most judged answers first.

    Studies that were not read are of no network: they have an entry of their own, with empty names.
    """
    found: dict[tuple[str, str], Agreement] = {}
    for one in counts:
        names = one.model, one.model_sha256
        so_far = found.get(names, Agreement(*names))
        kind = _kind(one.outcome, one.stance, one.reason)
        found[names] = replace(so_far, **{kind: getattr(so_far, kind) + one.studies})
    return sorted(found.values(), key=lambda one: (-one.judged, one.model))


def _kind(outcome: Outcome, stance: Stance, reason: Reason) -> str:
    """Return which number of `Agreement` an opinion adds to."""
    if stance is Stance.DISAGREES and reason in (Reason.OTHER, Reason.READABLE):
        return "unclear"
    if outcome is Outcome.PRESENT:
        return "false_alarms" if reason is Reason.FALSE_ALARM else "confirmed"
    if outcome is Outcome.UNREAD and stance is Stance.AGREES:
        return "unclear"  # that it could not be read says nothing of blood
    return "missed" if reason is Reason.MISSED_BLEED else "clear"
