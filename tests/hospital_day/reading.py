# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How long studies wait for a radiologist, by the order of the reading list: a model, and nothing but arithmetic.

One radiologist reads one study after another, each for the same time, and is never interrupted. Without the appliance
the study that arrived first is read next. With it, a study whose answer says hemorrhage, and whose message has reached
the reading list by then, is read before the others; among equals the one that arrived first. A study may be read before
its answer is there. A wait lasts from the last image to the beginning of the reading.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random


@dataclass(frozen=True)
class Waiting:
    """A study on the reading list; times in minutes.

    Attributes
    ----------
    arrived: when its last image was there.
    told: when the reading list knew the answer; infinite where it never did.
    flagged: whether the answer says hemorrhage.
    bleeds: whether there is one.
    """

    arrived: float
    told: float
    flagged: bool
    bleeds: bool


def waits(studies: Sequence[Waiting], read_min: float, reordered: bool) -> list[float]:
    """Return how long each study waits until it is read, in the order of `studies`, minutes."""
    left = set(range(len(studies)))
    waited = [0.0] * len(studies)
    now = 0.0
    while left:
        there = [number for number in left if studies[number].arrived <= now]
        if not there:
            now = min(studies[number].arrived for number in left)
            continue
        is_first = {one: reordered and studies[one].flagged and studies[one].told <= now for one in there}
        chosen = min(there, key=lambda one: (not is_first[one], studies[one].arrived, one))
        waited[chosen] = now - studies[chosen].arrived
        left.remove(chosen)
        now += read_min
    return waited


def spread(minutes: Sequence[float]) -> dict[str, float] | None:
    """Return mean, median and worst of waits; None for none."""
    if not minutes:
        return None
    return {
        "mean": round(statistics.fmean(minutes), 2),
        "median": round(statistics.median(minutes), 2),
        "worst": round(max(minutes), 2),
    }


def compare(studies: Sequence[Waiting], read_min: float) -> dict[str, dict[str, dict[str, float] | None]]:
    """Return the spread of waits of studies that bleed and of the rest, by arrival and by answer."""
    told: dict[str, dict[str, dict[str, float] | None]] = {}
    for name, reordered in (("by arrival", False), ("by answer", True)):
        waited = waits(studies, read_min, reordered)
        told[name] = {
            "hemorrhage": spread([one for one, study in zip(waited, studies, strict=True) if study.bleeds]),
            "others": spread([one for one, study in zip(waited, studies, strict=True) if not study.bleeds]),
        }
    return told


def stretch(studies: Sequence[Waiting], factor: float) -> list[Waiting]:
    """Return the same studies over a longer day: arrivals lie `factor` times as far apart, answers take as long."""
    return [
        Waiting(one.arrived * factor, one.arrived * factor + (one.told - one.arrived), one.flagged, one.bleeds)
        for one in studies
    ]


def drawn_days(
    studies: Sequence[Waiting], day_min: float, read_min: float, days: int, seed: int
) -> dict[str, dict[str, float] | None]:
    """Return the spread, over drawn days, of the mean wait of studies that bleed, by arrival and by answer.

    Each day has the same studies, with the same answers and turnarounds, that arrive at random.
    """
    random = Random(seed)
    means: dict[str, list[float]] = {"by arrival": [], "by answer": []}
    for _ in range(days):
        times = sorted(random.uniform(0, day_min) for _ in studies)
        drawn = [
            Waiting(time, time + one.told - one.arrived, one.flagged, one.bleeds)
            for time, one in zip(times, random.sample(list(studies), len(studies)), strict=True)
        ]
        for name, reordered in (("by arrival", False), ("by answer", True)):
            bleeding = [wait for wait, one in zip(waits(drawn, read_min, reordered), drawn, strict=True) if one.bleeds]
            means[name] += [statistics.fmean(bleeding)] if bleeding else []
    return {name: spread(found) for name, found in means.items()}
