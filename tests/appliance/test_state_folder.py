# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import re
import shutil
import stat
from pathlib import Path

import pytest

from appliance.errors import ApplianceError, UnavailableError
from appliance.state_folder import StateFolder, probe_folder


def identity_of(folder: Path) -> str:
    held = StateFolder(folder)
    try:
        return held.identity
    finally:
        held.close()


def test_the_identity_is_random_kept_over_restarts_and_nobody_elses_to_read(tmp_path: Path) -> None:
    first = identity_of(tmp_path / "one")
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert identity_of(tmp_path / "one") == first
    assert identity_of(tmp_path / "two") != first
    assert stat.S_IMODE((tmp_path / "one" / "identity.json").stat().st_mode) == 0o600


def test_a_moved_folder_keeps_its_identity_and_a_copied_one_gets_its_own(tmp_path: Path) -> None:
    first = identity_of(tmp_path / "one")
    (tmp_path / "one").rename(tmp_path / "moved")
    assert identity_of(tmp_path / "moved") == first
    shutil.copytree(tmp_path / "moved", tmp_path / "copy")
    copied = identity_of(tmp_path / "copy")
    assert copied != first
    assert identity_of(tmp_path / "copy") == copied
    assert identity_of(tmp_path / "moved") == first


@pytest.mark.parametrize("written", ["", "{", "[]", '{"identity": "../x"}', '{"identity": 7, "place": "a"}'])
def test_an_identity_that_cannot_be_read_is_made_anew(tmp_path: Path, written: str) -> None:
    identity_of(tmp_path)
    (tmp_path / "identity.json").write_text(written)
    made = identity_of(tmp_path)
    assert re.fullmatch(r"[0-9a-f]{32}", made)
    assert identity_of(tmp_path) == made


def test_a_folder_that_another_service_holds_is_refused_and_free_when_that_ends(tmp_path: Path) -> None:
    held = StateFolder(tmp_path)
    with pytest.raises(ApplianceError, match="another service"):
        StateFolder(tmp_path)
    held.close()
    StateFolder(tmp_path).close()


def test_a_folder_that_cannot_be_made_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ApplianceError, match="cannot be written"):
        StateFolder(tmp_path / "file")


def test_a_probe_leaves_nothing_and_says_why_it_could_not_write(tmp_path: Path) -> None:
    probe_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnavailableError, match="gone cannot be written"):
        probe_folder(tmp_path / "gone")
