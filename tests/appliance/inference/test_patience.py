# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from appliance.inference.patience import FIRST_S, LEAST_S, TIMES, Patience


def test_a_quick_model_is_not_waited_for_as_long_as_the_setting_allows() -> None:
    patience = Patience(longest_s=120)
    assert patience.seconds == FIRST_S < 120
    patience.note_answer(0.4)
    assert patience.seconds < FIRST_S
    patience.note_answer(0.4)
    assert patience.seconds == LEAST_S


def test_one_answer_that_lay_ready_does_not_make_the_next_wait_short() -> None:
    patience = Patience(longest_s=3600)
    patience.note_answer(12.0)
    patience.note_answer(0.0)
    assert patience.seconds > 5 * 12


def test_who_asks_once_waits_as_long_as_the_setting_allows() -> None:
    assert Patience(longest_s=120, first_s=120).seconds == 120


def test_a_slow_model_is_waited_for_longer_up_to_the_setting() -> None:
    patience = Patience(longest_s=120)
    patience.note_answer(3.0)
    assert patience.seconds == 3.0 * TIMES
    patience.note_answer(30.0)
    assert patience.seconds == 120


def test_waits_in_vain_grow_up_to_the_setting_so_that_a_slow_machine_is_not_asked_in_vain_for_ever() -> None:
    patience = Patience(longest_s=120)
    patience.note_answer(0.4)
    patience.note_answer(0.4)
    waits = []
    for _ in range(6):
        waits.append(patience.seconds)
        patience.note_timeout()
    assert waits == [10, 20, 40, 80, 120, 120]
    for _ in range(4):
        patience.note_answer(0.4)
    assert patience.seconds == LEAST_S
