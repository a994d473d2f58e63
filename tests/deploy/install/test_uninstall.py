# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is said before anything is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.errors import SettingsError
from deploy.install import uninstall as module
from deploy.install.layout import Layout
from deploy.install.uninstall import contents, uninstall


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    found = Layout(tmp_path)
    for folder in (found.archive, found.state, found.etc):
        folder.mkdir(parents=True)
    (found.state / "ledger.sqlite").write_bytes(bytes(2_000_000))
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(module, "systemctl", lambda *words, check=True: asked.append(words) or "")
    monkeypatch.setattr(module.subprocess, "run", lambda command, **_: asked.append(tuple(command)))
    return found


def test_without_a_yes_nothing_is_deleted_and_what_would_be_is_said(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SettingsError, match="nothing was deleted"):
        uninstall(layout, purge=True, agreed=False)
    said = capsys.readouterr().out
    assert f"{layout.data}: 1 files, 2.0 MB" in said
    assert (layout.state / "ledger.sqlite").exists()


def test_without_purge_all_that_is_kept_stays(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    uninstall(layout, purge=False, agreed=False)
    assert (layout.state / "ledger.sqlite").exists()
    assert layout.etc.exists()
    assert str(layout.data) in capsys.readouterr().out


def test_a_purge_that_was_agreed_to_leaves_nothing(layout: Layout) -> None:
    uninstall(layout, purge=True, agreed=True)
    assert not layout.data.exists()
    assert not layout.etc.exists()


def test_links_do_not_count_as_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    (tmp_path / "link").symlink_to("/etc")
    assert contents(tmp_path) == "1 files, 0.0 MB"
