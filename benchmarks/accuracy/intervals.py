# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Figures with 95 % intervals: shares (Wilson), predictive values at a prevalence, and what only resampling gives.

Resampled intervals are percentiles of 2,000 draws of whole studies. They have no width where no study of a group is on
the wrong side: then the interval says nothing, and the count beside it does.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from appliance.reading.proportion import wilson_interval

RESAMPLES: Final = 2000
FEWEST_FOR_R: Final = 5
Z: Final = 1.959964
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; `part` of `whole` where it is a share. NaN where there is nothing to tell."""

    value: float
    low: float = math.nan
    high: float = math.nan
    part: int | None = None
    whole: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return plain values, None for NaN."""
        return {
            name: None if isinstance(value, float) and math.isnan(value) else value
            for name, value in asdict(self).items()
            if not (name in ("part", "whole") and value is None)
        }

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "–"
        interval = "" if math.isnan(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        count = "" if self.whole is None else f", {self.part}/{self.whole}"
        return f"{self.value:.3f}{interval}{count}"


NOTHING: Final = Estimate(math.nan)


def share(part: int, whole: int) -> Estimate:
    """Return `part` of `whole` with Wilson's score interval."""
    if not whole:
        return Estimate(math.nan, part=part, whole=whole)
    return Estimate(part / whole, *wilson_interval(part, whole), part, whole)


def mean_of_two(first: Estimate, second: Estimate) -> Estimate:
    """Return the mean of two independent shares, with the interval made of theirs (Newcombe, Stat Med 1998)."""
    value = (first.value + second.value) / 2
    below = math.hypot(first.value - first.low, second.value - second.low) / 2
    above = math.hypot(first.high - first.value, second.high - second.value) / 2
    return Estimate(value, max(0.0, value - below), min(1.0, value + above))


def predictive_value(right: Estimate, wrong: Estimate, prevalence: float) -> Estimate:
    """Return the chance that a call is right at a prevalence, with the adjusted logit interval (Mercaldo et al., 2007).

    Parameters
    ----------
    right: share of studies called so among those that are so (sensitivity for PPV, specificity for NPV).
    wrong: share of studies called so among those that are not so.
    prevalence: share of those that are so, above 0 and below 1.
    """
    if not right.whole or not wrong.whole:
        return NOTHING
    called = right.value * prevalence + wrong.value * (1 - prevalence)
    if not called:
        return NOTHING
    odds = math.log(prevalence / (1 - prevalence))
    p, n = ((right.part or 0) + Z * Z / 2) / (right.whole + Z * Z), right.whole + Z * Z
    q, m = ((wrong.part or 0) + Z * Z / 2) / (wrong.whole + Z * Z), wrong.whole + Z * Z
    middle = odds + math.log(p / q)
    half = Z * math.sqrt((1 - p) / (p * n) + (1 - q) / (q * m))
    value = right.value * prevalence / called
    low, high = (1 / (1 + math.exp(-end)) for end in (middle - half, middle + half))
    return Estimate(value, min(low, value), max(high, value))


def area(positives: Values, negatives: Values) -> Estimate:
    """Return the area under the ROC curve of scores [P] and [N], ties one half; both groups are resampled apart."""
    if not len(positives) or not len(negatives):
        return NOTHING

    def statistic(p: Values, n: Values, axis: int) -> Values:
        assert axis == -1  # as `resampled` asks
        shape = np.broadcast_shapes(p.shape[:-1], n.shape[:-1])
        both = np.concatenate(
            [np.broadcast_to(p, (*shape, p.shape[-1])), np.broadcast_to(n, (*shape, n.shape[-1]))], axis=-1
        )
        ranks = stats.rankdata(both, axis=-1)[..., : p.shape[-1]].sum(axis=-1)
        return np.asarray((ranks - p.shape[-1] * (p.shape[-1] + 1) / 2) / (p.shape[-1] * n.shape[-1]))

    return resample(statistic, positives, negatives, paired=False)


def resample(statistic: Callable[..., Values], *samples: Values, paired: bool = True) -> Estimate:
    """Return a statistic of samples with its percentile interval; paired samples are of the same studies.

    `statistic` takes the samples and `axis`, the axis of the studies, and works on stacks of samples.
    """
    value = float(statistic(*samples, axis=-1))
    if min(len(sample) for sample in samples) < 2 or math.isnan(value):
        return Estimate(value)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore")  # of draws that are all alike: the interval has no width, as said above
        found = stats.bootstrap(
            samples,
            statistic,
            paired=paired,
            vectorized=True,
            n_resamples=RESAMPLES,
            batch=200,
            method="percentile",
            rng=np.random.default_rng(1),
        ).bootstrap_distribution
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return Estimate(value, float(low), float(high))


def dice(shared_ml: Values, found_ml: Values, true_ml: Values) -> Estimate:
    """Return Dice over all voxels of studies [N] together: mL shared, found and true."""

    def statistic(s: Values, f: Values, t: Values, axis: int = -1) -> Values:
        total = f.sum(axis=axis) + t.sum(axis=axis)
        return np.asarray(2 * s.sum(axis=axis) / np.where(total > 0, total, np.nan))

    return resample(statistic, shared_ml, found_ml, true_ml) if len(shared_ml) else NOTHING


def mean(values: Values) -> Estimate:
    """Return the mean of values [N]."""
    return resample(lambda v, axis=-1: v.mean(axis=axis), values) if len(values) else NOTHING


def correlation(first: Values, second: Values) -> Estimate:
    """Return Pearson's r of two values of the same studies [N]."""
    if len(first) < FEWEST_FOR_R or not np.ptp(first) or not np.ptp(second):
        return NOTHING

    def statistic(x: Values, y: Values, axis: int = -1) -> Values:
        dx, dy = x - x.mean(axis=axis, keepdims=True), y - y.mean(axis=axis, keepdims=True)
        spread = np.sqrt((dx**2).sum(axis=axis) * (dy**2).sum(axis=axis))
        return np.asarray((dx * dy).sum(axis=axis) / np.where(spread > 0, spread, np.nan))

    return resample(statistic, first, second)
