# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How sure a share of counted cases is: its 95 % interval."""

from __future__ import annotations

import math


def wilson_interval(part: int, whole: int) -> tuple[float, float]:
    """Return the ends, 0 to 1, of the 95 % score interval of `part` of `whole` (Wilson, J Am Stat Assoc 1927).

    Both are NaN of nothing.
    """
    if not whole:
        return math.nan, math.nan
    from scipy.stats import binomtest  # a third of a second, which a service that starts has no time for

    ends = binomtest(part, whole).proportion_ci(method="wilson")
    return float(ends.low), float(ends.high)
