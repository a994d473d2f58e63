# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.steps import TURNAROUND_STEPS, Step, StepClock


def test_a_step_that_runs_twice_adds_up_and_no_step_takes_less_than_nothing() -> None:
    clock = StepClock()
    clock.add(Step.READ, 0.25)
    clock.add(Step.READ, 0.5)
    clock.add(Step.QUIET, -3)
    assert clock.timing_ms == {"read": 750.0, "quiet": 0.0}


def test_what_the_pipeline_clocked_is_taken_over_and_an_unknown_step_is_a_fault() -> None:
    clock = StepClock()
    clock.add(Step.QUEUE, 1)
    clock.take_over({"select": 2.0, "read": 3.0})
    assert list(clock.timing_ms) == ["queue", "select", "read"]
    with pytest.raises(ValueError, match="rest"):
        clock.take_over({"rest": 1.0})


def test_a_step_that_raises_is_clocked_all_the_same() -> None:
    clock = StepClock()
    with pytest.raises(KeyError), clock(Step.INFER):
        raise KeyError
    assert set(clock.timing_ms) == {"infer"}


def test_a_reader_waits_for_every_step_but_the_key_images() -> None:
    assert set(Step) - set(TURNAROUND_STEPS) == {Step.DELIVER_REST}
