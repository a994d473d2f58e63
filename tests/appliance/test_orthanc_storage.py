# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance import orthanc_storage
from appliance.errors import UnavailableError
from appliance.orthanc_storage import StandingRefusal, StoreRefusal, check_storage


def test_a_storage_that_is_not_on_this_machine_is_not_looked_at() -> None:
    check_storage(None)


def test_a_storage_without_room_for_a_study_is_told_with_what_is_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = shutil.disk_usage(tmp_path).free
    monkeypatch.setattr(orthanc_storage, "ROOM_FOR_A_STUDY", free // 2)
    check_storage(tmp_path)
    monkeypatch.setattr(orthanc_storage, "ROOM_FOR_A_STUDY", free * 2)
    with pytest.raises(UnavailableError, match=r"\d+ MB free .*make room"):
        check_storage(tmp_path)


def test_a_storage_that_is_not_there_is_a_setting_to_correct(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"set orthanc\.storage"):
        check_storage(tmp_path / "elsewhere")


def test_the_largest_refusal_stands_until_something_as_large_is_stored_or_it_is_old() -> None:
    now = [0.0]
    refusal = StandingRefusal(lambda: now[0])
    refusal.note("large", 100, "full")
    now[0] = 5.0
    refusal.note("small", 10, "full too")
    refusal.note_stored("other", 99)
    assert refusal.within(10) == StoreRefusal("large", 100, 0.0, "full")
    refusal.note_stored("another", 100)
    assert refusal.within(10) is None
    refusal.note("large", 100, "full again")
    refusal.note_stored("large", 0)  # it was there after all
    assert refusal.within(10) is None
    refusal.note("large", 100, "full once more")
    now[0] = 14.9
    assert refusal.within(10) is not None
    now[0] = 15.0
    assert refusal.within(10) is None
    refusal.note("small", 10, "still full")
    assert refusal.within(10) == StoreRefusal("small", 10, 15.0, "still full")
