# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from appliance.prior.scan_time import ScanTime, parse_scan_time, scan_time


@pytest.mark.parametrize(
    ("header", "at"),
    [
        ({"StudyDate": "20260102", "StudyTime": "101112.5"}, ScanTime(datetime(2026, 1, 2, 10, 11, 12), True)),
        ({"AcquisitionDate": "20260103", "StudyDate": "20260102"}, ScanTime(datetime(2026, 1, 3), False)),
        (
            {"AcquisitionDate": "", "SeriesDate": "20260104", "SeriesTime": "0930"},
            ScanTime(datetime(2026, 1, 4, 9, 30), True),
        ),
        (
            {"AcquisitionDateTime": "20260105083000.123456+0200", "AcquisitionDate": "20260101"},
            ScanTime(datetime(2026, 1, 5, 8, 30), True, timedelta(hours=2)),
        ),
        ({"StudyDate": "20260102", "StudyTime": "noon"}, ScanTime(datetime(2026, 1, 2), False)),
        ({"StudyDate": "20260102", "StudyTime": "99"}, ScanTime(datetime(2026, 1, 2), False)),
        # The time of the next date of the same day counts, and not that of another day.
        (
            {"AcquisitionDateTime": "20260102", "AcquisitionDate": "20260102", "AcquisitionTime": "101500"},
            ScanTime(datetime(2026, 1, 2, 10, 15), True),
        ),
        (
            {"AcquisitionDate": "20260102", "StudyDate": "20260102", "StudyTime": "0900"},
            ScanTime(datetime(2026, 1, 2, 9), True),
        ),
        ({"StudyDate": "20260102", "StudyTime": "235960"}, ScanTime(datetime(2026, 1, 2, 23, 59, 59), True)),
        # No date of a CT, and none that arithmetic breaks on.
        ({"AcquisitionDate": "99991231", "AcquisitionTime": "235960"}, None),
        ({"AcquisitionDate": "00010101", "AcquisitionTime": "000000"}, None),
        ({"StudyDate": "19000101", "StudyTime": "120000"}, None),
        ({"AcquisitionDate": "19000101", "StudyDate": "20260102"}, ScanTime(datetime(2026, 1, 2), False)),
        ({"StudyDate": "yesterday"}, None),
        ({}, None),
    ],
)
def test_the_time_of_a_scan_is_that_of_its_acquisition_series_or_study(
    header: dict[str, str], at: ScanTime | None
) -> None:
    assert scan_time(header) == at


@pytest.mark.parametrize(
    "at",
    [
        ScanTime(datetime(2026, 1, 2, 10, 11, 12), True),
        ScanTime(datetime(2026, 1, 2), False),
        ScanTime(datetime(2026, 1, 2), True),
        ScanTime(datetime(2026, 1, 2, 3, 4), True, timedelta(hours=-3, minutes=-30)),
        ScanTime(datetime(2026, 1, 2, 3, 4), True, timedelta(0)),
    ],
)
def test_what_is_noted_of_a_time_is_read_back(at: ScanTime) -> None:
    assert parse_scan_time(str(at)) == at


def test_an_empty_or_spoiled_note_is_no_time() -> None:
    assert parse_scan_time("") is None
    assert parse_scan_time("soon") is None


def test_hours_are_by_the_scanners_clocks_unless_both_name_their_offset() -> None:
    def at(hour: int, offset: int | None = None) -> ScanTime:
        return ScanTime(datetime(2026, 1, 2, hour), True, None if offset is None else timedelta(hours=offset))

    assert at(8).hours_until(at(10)) == 2
    assert at(8, 1).hours_until(at(10)) == 2
    assert at(8, 1).hours_until(at(10, 3)) == 0
    assert at(8, 0).hours_until(at(10, -5)) == 7


def test_without_a_time_of_day_hours_are_those_between_days_and_one_day_has_no_order() -> None:
    morning, day = ScanTime(datetime(2026, 1, 3, 8), True), ScanTime(datetime(2026, 1, 3), False)
    before = ScanTime(datetime(2026, 1, 1), False)
    assert before.hours_until(morning) == 48
    assert before.is_order_known(morning)
    assert not day.is_order_known(morning)
    assert not day.is_order_known(day)
