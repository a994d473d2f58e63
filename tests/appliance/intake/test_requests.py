# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from appliance.intake.requests import RequestRate, TooManyRequestsError


def test_more_requests_than_allowed_in_any_minute_are_turned_down_until_the_first_is_a_minute_old() -> None:
    now = 100.0
    rate = RequestRate(3, lambda: now)
    for _ in range(3):
        rate.take()
        now += 10
    for _ in range(1000):
        with pytest.raises(TooManyRequestsError) as raised:
            rate.take()
        assert raised.value.retry_after_s == 30
    now += 30
    rate.take()
    with pytest.raises(TooManyRequestsError):
        rate.take()
