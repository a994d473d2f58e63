# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The quiet time follows the sender."""

from __future__ import annotations

import pytest

from appliance.intake.change_feed import Placed
from appliance.intake.pace import Paces
from appliance.orthanc_records import HeldSeries


def came(at: float, series: str = "a", stamped: bool = True) -> Placed:
    held = HeldSeries(series, "study", "1.2", "CT", ("one",), 0.0)
    return Placed("one", held, at, at, stamped)


@pytest.mark.parametrize(
    ("times", "quiet_s"),
    [
        ([], 2),
        ([0], 2),
        ([0, 0.1, 0.2], 2),
        ([0, 3, 6], 12),
        ([0, 0.1, 5.1, 5.2], 20),
        ([0, 100], 30),
        ([5, 0, 5], 2),
    ],
)
def test_it_is_four_times_the_longest_pause_within_its_limits(times: list[float], quiet_s: float) -> None:
    paces = Paces(2, 30)
    for at in times:
        paces.note(came(at))
    assert paces.quiet_s("study") == pytest.approx(quiet_s)


def test_pauses_between_series_and_studies_that_were_decided_do_not_count() -> None:
    paces = Paces(2, 30)
    paces.note(came(0, "a"))
    paces.note(came(10, "b"))
    assert paces.quiet_s("study") == 2
    paces.note(came(20, "a"))
    assert paces.quiet_s("study") == 30
    paces.forget("study")
    paces.note(came(40, "a"))
    assert paces.quiet_s("study") == 2


def test_a_second_that_may_be_rounding_is_no_pause() -> None:
    paces = Paces(2, 30)
    for at in (0, 1, 4):
        paces.note(came(at, stamped=False))
    assert paces.quiet_s("study") == 8
