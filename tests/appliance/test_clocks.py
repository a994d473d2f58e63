# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import pytest

from appliance.clocks import OrthancClock, SteadyClock


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.up_s = 500.0
        self.set_to = 1_800_000_000.0

    def time(self) -> float:
        return self.set_to + self.up_s

    def elapsed(self) -> float:
        return self.up_s


@pytest.mark.parametrize("step_s", [-7000.0, 3600.0])
def test_a_clock_that_is_set_moves_nothing_that_is_waited_for(step_s: float) -> None:
    machine = Machine()
    clock = SteadyClock(machine.time, machine.elapsed)
    began = clock()
    machine.set_to += step_s
    machine.up_s += 2.5
    assert clock() - began == 2.5
    assert clock.drift_s() == step_s
    clock.set_anew()
    assert clock() == machine.time()


@pytest.mark.parametrize("ahead_s", [-3600.25, 0.0, 0.4, 7000.75])
def test_looks_at_a_clock_of_whole_seconds_bound_the_difference_ever_closer(ahead_s: float) -> None:
    clock = OrthancClock()
    assert clock.ahead_s is None
    widths = []
    for now in (1000.1, 1001.35, 1003.6, 1007.85, 1010.0):
        told = float(math.floor(now + ahead_s))
        clock.look(now, told, now + 0.01)
        earliest, latest = clock.earliest_time(told), clock.latest_time(told)
        assert earliest <= now <= latest
        widths.append(latest - earliest)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0]
    assert clock.ahead_s == pytest.approx(ahead_s, abs=0.5)
    assert clock.agrees == (abs(ahead_s) < 2)


def test_a_clock_that_was_set_is_believed_at_the_next_look() -> None:
    clock = OrthancClock()
    clock.look(1000.0, 1000.0, 1000.0)
    clock.look(1010.0, 4610.0, 1010.0)
    assert clock.ahead_s == pytest.approx(3600, abs=1)
    clock.look(1020.0, 1020.0, 1020.0)
    assert clock.ahead_s == 0
