# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from training.pace import Pace


def test_time_in_which_the_process_was_suspended_is_no_work() -> None:
    pace = Pace()
    worked = [pace.worked_s(took) for took in [1.0] * 20 + [7200.0] + [1.0] * 20]
    assert sum(worked) == pytest.approx(41)


def test_a_first_step_that_is_compiled_and_a_slow_one_count_whole() -> None:
    pace = Pace()
    assert [pace.worked_s(took) for took in (60.0, *[1.0] * 15, 15.0)] == [60.0, *[1.0] * 15, 15.0]


def test_a_machine_that_becomes_slower_becomes_the_usual_one() -> None:
    pace = Pace()
    worked = [pace.worked_s(took) for took in [1.0] * 60 + [10.0] * 60 + [50.0] * 5]
    assert sum(worked) == 60 + 600 + 250
