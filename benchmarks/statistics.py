# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The few statistics that the benchmarks print: proportions with their interval, percentiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from appliance.reading.proportion import wilson_interval


@dataclass(frozen=True)
class Proportion:
    """A share of cases, `part` of `whole`, with its 95 % interval (Wilson's score interval)."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        """The share, NaN of nothing."""
        return self.part / self.whole if self.whole else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % interval."""
        return wilson_interval(self.part, self.whole)

    def as_json(self) -> dict[str, float | int | list[float]]:
        """Return the share, its parts and its interval as plain values."""
        return {"value": self.value, "part": self.part, "whole": self.whole, "interval_95": list(self.interval)}

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({self.part}/{self.whole}; {low:.3f}-{high:.3f})"


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return minimum, median, 95th percentile and maximum of `values`, in their own unit."""
    low, median, high, top = np.percentile(np.asarray(values, float), [0, 50, 95, 100])
    return {"min": float(low), "p50": float(median), "p95": float(high), "max": float(top)}
