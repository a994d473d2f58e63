# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How well scores tell studies with blood from studies without: the area under the ROC curve, by pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pair_wins(positives: ArrayLike, negatives: ArrayLike) -> NDArray[np.float64]:
    """Return of each positive (row) against each negative (column): 1 if it scores higher, 0.5 if level, else 0."""
    one, other = np.asarray(positives, np.float64)[:, None], np.asarray(negatives, np.float64)
    return np.where(one == other, 0.5, one > other)


def area_under_curve(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties count half.

    It is NaN where either has none.
    """
    wins = pair_wins(positives, negatives)
    return float(wins.mean()) if wins.size else float("nan")
