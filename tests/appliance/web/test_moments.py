# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from appliance.web.moments import Moment, age_words, moment, zone_words

AT = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC


def test_a_time_is_the_sites_with_utc_beside() -> None:
    assert moment(AT, ZoneInfo("Europe/Vienna")) == Moment(
        "2027-01-15T08:00:00Z", "2027-01-15 09:00:00", "08:00:00 UTC"
    )
    assert moment(AT, UTC) == Moment("2027-01-15T08:00:00Z", "2027-01-15 08:00:00", "")


def test_where_the_day_differs_the_utc_beside_has_its_date() -> None:
    assert moment(AT, ZoneInfo("Pacific/Auckland")).utc == "08:00:00 UTC"
    assert moment(AT - 9 * 3600, ZoneInfo("Europe/Vienna")) == Moment(
        "2027-01-14T23:00:00Z", "2027-01-15 00:00:00", "2027-01-14 23:00:00 UTC"
    )


def test_a_page_says_which_times_it_shows() -> None:
    assert zone_words(AT, ZoneInfo("Europe/Vienna")) == "Times are Europe/Vienna (CET), UTC beside"
    assert zone_words(AT, ZoneInfo("Europe/London")) == "Times are Europe/London (GMT), UTC beside"
    assert zone_words(AT, UTC) == "Times are UTC"
    assert zone_words(AT, ZoneInfo("UTC")) == "Times are UTC"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-5, "under 1 min"),
        (59, "under 1 min"),
        (60, "1 min"),
        (3599, "59 min"),
        (3600, "1 h 00 min"),
        (2 * 86_400 - 1, "47 h 59 min"),
        (2 * 86_400, "2 days"),
        (400 * 86_400, "400 days"),
    ],
)
def test_an_age_is_as_exact_as_a_reader_needs_it(seconds: float, said: str) -> None:
    assert age_words(seconds) == said
