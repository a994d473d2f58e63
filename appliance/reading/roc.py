# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How well scores separate studies with blood from studies without: the area under the ROC curve, by pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pair_wins(positives: ArrayLike, negatives: ArrayLike) -> NDArray[np.float64]:
    """Return for each positive (row) and negative (column) 1 if the positive scores higher, 0.5 if equal, else 0."""
    one, other = np.asarray(positives, np.float64)[:, None], np.asarray(negatives, np.float64)
    return np.where(one == other, 0.5, one > other)


def area_under_curve(positives: ArrayLike, negatives: ArrayLike) -> float:
    """Return the area under the ROC curve: the chance that a positive scores above a negative, ties count half.

    It is NaN if there are no positives or no negatives.
    """
    wins = pair_wins(positives, negatives)
    return float(wins.mean()) if wins.size else float("nan")
