# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from appliance.reading.roc import area_under_curve, pair_wins


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert area_under_curve([0.9, 0.5], [0.5, 0.1]) == pytest.approx(3.5 / 4)
    assert pair_wins([0.9, 0.5], [0.5, 0.1]).tolist() == [[1, 1], [0.5, 1]]


def test_the_area_is_the_one_that_scikit_learn_gives() -> None:
    draw = np.random.default_rng(1)
    scores, truths = draw.integers(0, 20, 200), draw.random(200) < 0.3
    assert area_under_curve(scores[truths], scores[~truths]) == pytest.approx(roc_auc_score(truths, scores))


def test_there_is_no_area_without_both() -> None:
    assert np.isnan(area_under_curve([], [0.1]))
    assert np.isnan(area_under_curve([0.1], []))
