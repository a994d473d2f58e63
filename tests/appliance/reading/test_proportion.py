# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from appliance.reading.proportion import wilson_interval


@pytest.mark.parametrize(
    ("part", "whole", "ends"),
    [
        # Newcombe, Statistics in Medicine 1998, table I: score interval without correction.
        (81, 263, (0.2553, 0.3662)),
        (0, 20, (0.0, 0.1611)),
        # Wilson's formula by hand.
        (8, 10, (0.4902, 0.9433)),
        (10, 10, (0.7225, 1.0)),
    ],
)
def test_the_interval_is_wilsons(part: int, whole: int, ends: tuple[float, float]) -> None:
    assert wilson_interval(part, whole) == pytest.approx(ends, abs=5e-5)


def test_none_and_all_are_ends_of_their_intervals_to_the_last_digit() -> None:
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(10, 10)[1] == 1.0


def test_nothing_of_nothing_has_no_interval() -> None:
    assert all(map(math.isnan, wilson_interval(0, 0)))
