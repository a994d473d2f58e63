# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydicom import Dataset

from appliance.errors import SettingsError
from appliance.intake.priority import LOOKED_AT, priority
from appliance.ledger.records import OLD, ROUTINE, URGENT
from appliance.sections.intake import PrioritySettings
from appliance.settings_sources import load_settings

RECEIVED = datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp()


def header(**attributes: str) -> Dataset:
    made = Dataset()
    for keyword, value in {"StudyDate": "20260310", **attributes}.items():
        setattr(made, keyword, value)
    return made


def of(*headers: Dataset, **settings: object) -> int:
    return priority(headers, RECEIVED, PrioritySettings(**settings))  # type: ignore[arg-type]


@pytest.mark.parametrize("keyword", LOOKED_AT)
def test_an_emergency_is_known_wherever_it_is_told(keyword: str) -> None:
    assert of(header(**{keyword: "STAT"})) == URGENT
    assert of(header(), header(**{keyword: "ct head, Trauma-Protocol"})) == URGENT


@pytest.mark.parametrize("told", ["", "status post", "strokefree", "CT Kopf nativ", "instat"])
def test_a_part_of_another_word_is_no_emergency(told: str) -> None:
    assert of(header(StudyDescription=told)) == ROUTINE


def test_the_site_says_which_words_mark_an_emergency() -> None:
    assert of(header(StationName="CT-ER 2"), urgent=("ct-er 2",)) == URGENT
    assert of(header(StudyDescription="stat"), urgent=("ct-er 2",)) == ROUTINE
    assert of(header(StudyDescription="a.c (x"), urgent=("a.c (x",)) == URGENT
    assert of(header(StudyDescription="stat"), urgent=()) == ROUTINE


@pytest.mark.parametrize(
    ("day", "expected"), [("20260310", ROUTINE), ("20260308", ROUTINE), ("20260307", OLD), ("19990101", OLD)]
)
def test_a_scan_of_earlier_days_goes_last_even_when_it_was_an_emergency_then(day: str, expected: int) -> None:
    assert of(header(StudyDate=day)) == expected
    assert of(header(StudyDate=day, StudyDescription="STAT")) == (OLD if expected == OLD else URGENT)


def test_the_newest_image_counts_and_a_date_that_cannot_be_read_counts_as_new() -> None:
    assert of(header(StudyDate="19990101"), header(StudyDate="19990101", AcquisitionDate="20260310")) == ROUTINE
    for day in ("", "yesterday", "20261340"):
        assert of(header(StudyDate=day)) == ROUTINE


def test_a_study_without_a_readable_header_is_routine() -> None:
    assert of() == ROUTINE


def test_an_empty_word_would_make_every_study_an_emergency_and_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"priority\.urgent"):
        load_settings(priority={"urgent": ["stat", " "]})
