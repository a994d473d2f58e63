# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from appliance.reading.proportion import wilson_interval
from benchmarks.statistics import Proportion, spread


def test_the_interval_of_a_proportion_is_wilsons() -> None:
    assert Proportion(81, 263).interval == wilson_interval(81, 263)
    assert str(Proportion(81, 263)) == "0.308 (81/263; 0.255-0.366)"


def test_nothing_of_nothing_has_no_interval() -> None:
    assert all(math.isnan(end) for end in Proportion(0, 0).interval)
    assert math.isnan(Proportion(0, 0).value)


def test_a_spread_names_the_ends_and_the_middle() -> None:
    assert spread([3, 1, 2]) == {"min": 1.0, "p50": 2.0, "p95": pytest.approx(2.9), "max": 3.0}
