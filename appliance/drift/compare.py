# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How far studies differ from the reference, and how far they may by chance.

Numbers: the Kolmogorov-Smirnov distance of two samples, with Smirnov's limit. Words: the change of a word's share, with
the limit of Fisher's exact test, for the word that changed most beyond it. Both allow for how many studies there are on
either side. All limits together let `FALSE_ALARMS` of comparisons go beyond one by chance (Bonferroni). Since when a
feature differs is Pettitt's change point. Sources: docs/sources.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import kolmogi

from appliance.drift.features import FEATURES, Feature, Row

WINDOW: Final = 200
"""So many of the newest studies are compared."""
LEAST_STUDIES: Final = 50
"""With fewer, on either side, nothing is compared."""
LEAST_BLEEDS: Final = 20
"""The volume of bleeds is compared from so many on, on either side."""
FALSE_ALARMS: Final = 0.001
_CHANGED: Final = 0.001
"""A change point with a larger probability is none."""

Values = Sequence[float | str]


@dataclass(frozen=True)
class Comparison:
    """One feature of the newest studies beside the reference.

    Attributes
    ----------
    distance, limit: how far they are apart (0 to 1), and how far they may be by chance.
    studies, reference_studies: how many of either have the feature.
    was, now: the feature in the reference and in the newest studies, for people.
    word: the word that changed most; empty for a number.
    """

    feature: Feature
    distance: float
    limit: float
    studies: int
    reference_studies: int
    was: str
    now: str
    word: str = ""

    @property
    def differs(self) -> bool:
        """Whether they are farther apart than chance allows."""
        return self.distance > self.limit


def compare(reference: Sequence[Row], rows: Sequence[Row]) -> tuple[Comparison, ...]:
    """Return the comparison of each feature that enough studies have, those in `rows` with the reference's.

    Nothing when either are fewer than `LEAST_STUDIES`.
    """
    if min(len(reference), len(rows)) < LEAST_STUDIES:
        return ()
    found = []
    for feature in FEATURES:
        before, after = ([row[feature.name] for row in side if feature.name in row] for side in (reference, rows))
        least = LEAST_BLEEDS if feature.unit == "mL" else LEAST_STUDIES
        if min(len(before), len(after)) >= least:
            found.append((_compare_numbers if feature.is_number else _compare_words)(feature, before, after))
    return tuple(found)


def _compare_numbers(feature: Feature, before: Values, after: Values) -> Comparison:
    old, new = np.sort(np.array(before, np.float64)), np.sort(np.array(after, np.float64))
    every = np.concatenate([old, new])
    below = [np.searchsorted(side, every, side="right") / len(side) for side in (old, new)]
    distance = float(np.abs(below[0] - below[1]).max())
    limit = float(kolmogi(FALSE_ALARMS / len(FEATURES)) * np.sqrt(1 / len(old) + 1 / len(new)))
    was, now = (_quartiles(side, feature.unit) for side in (old, new))
    return Comparison(feature, distance, min(limit, 1.0), len(new), len(old), was, now)


def _quartiles(values: NDArray[np.float64], unit: str) -> str:
    lower, median, upper = np.percentile(values, (25, 50, 75))
    text = f"{median:.3g} ({lower:.3g} to {upper:.3g})"
    return text if unit == "1" else f"{text} {unit}"


def _compare_words(feature: Feature, before: Values, after: Values) -> Comparison:
    old, new = Counter(map(str, before)), Counter(map(str, after))
    words = sorted({*old, *new})
    changed = []
    for word in words:
        distance = abs(new[word] / len(after) - old[word] / len(before))
        limit = _limit(old[word], len(before), new[word], len(after), FALSE_ALARMS / len(FEATURES) / len(words))
        changed.append((distance / limit if limit > 0 else 0.0, distance, limit, word))
    _, distance, limit, word = max(changed)
    was, now = (f"{word} {count / total:.0%}" for count, total in ((old[word], len(before)), (new[word], len(after))))
    return Comparison(feature, distance, limit, len(after), len(before), was, now, word)


def _limit(old: int, before: int, new: int, after: int, chance: float) -> float:
    """Return how far two shares may be apart in the direction in which they are, by Fisher's exact test."""
    from scipy.stats import hypergeom  # a third of a second, which a service that starts has no time for

    total, all_of_it = before + after, old + new
    rises = new / after >= old / before
    if rises:
        most = int(hypergeom.isf(chance / 2, total, all_of_it, after))
    else:
        most = int(hypergeom.ppf(chance / 2, total, all_of_it, after))
    return abs(most / after - (all_of_it - most) / before)


def changed_at(values: Values, word: str) -> int | None:
    """Return from which of the values on, in their order, they are others; None when nothing tells a point.

    Parameters
    ----------
    values: numbers, or words, of which it is asked when the share of `word` changed.
    """
    count = len(values)
    if count < LEAST_BLEEDS:
        return None
    from scipy.stats import rankdata  # see _limit

    asked: Iterable[float] = [float(value == word) for value in values] if word else map(float, values)
    ranks = rankdata(list(asked))
    order = np.arange(1, count + 1)
    apart = np.abs(2 * np.cumsum(ranks) - order * (count + 1))[:-1]
    farthest = int(np.argmax(apart))
    chance = 2 * np.exp(-6 * float(apart[farthest]) ** 2 / (count**3 + count**2))
    return farthest + 1 if chance < _CHANGED else None
