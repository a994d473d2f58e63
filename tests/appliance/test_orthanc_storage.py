# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from appliance import orthanc_storage
from appliance.errors import UnavailableError
from appliance.orthanc_storage import check_storage


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
