# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is said before anything is deleted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from appliance.errors import SettingsError, UnavailableError
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


def test_an_archive_behind_a_link_is_named_and_stays(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk/archive"
    disk.mkdir(parents=True)
    (disk / "study").write_bytes(bytes(5_000_000))
    layout.archive.rmdir()
    layout.archive.symlink_to(disk)
    uninstall(layout, purge=True, agreed=True)
    said = capsys.readouterr().out
    assert f"{layout.data}: 1 files, 2.0 MB" in said
    assert f"it does not touch {disk}, to which {layout.archive} leads" in said
    assert f"{disk} is still there" in said
    assert (disk / "study").exists()
    assert not layout.data.exists()


def test_a_data_folder_that_is_a_link_itself_is_named_and_what_it_leads_to_stays(
    layout: Layout, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = tmp_path / "disk"
    layout.data.rename(disk)
    layout.data.symlink_to(disk)
    uninstall(layout, purge=True, agreed=True)
    assert f"it does not touch {disk}, to which {layout.data} leads" in capsys.readouterr().out
    assert (disk / "service/ledger.sqlite").exists()
    assert not layout.data.is_symlink()
    assert not layout.etc.exists()


def test_a_link_that_stays_within_is_not_said_to_stay(layout: Layout, capsys: pytest.CaptureFixture[str]) -> None:
    (layout.state / "latest").symlink_to(layout.state / "ledger.sqlite")
    uninstall(layout, purge=True, agreed=True)
    assert "does not touch" not in capsys.readouterr().out


def test_a_mount_point_is_emptied_and_named_and_the_rest_is_deleted(
    layout: Layout, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (layout.archive / "study").touch()
    refuse(monkeypatch, layout.archive, errno.EBUSY)
    monkeypatch.setattr(os.path, "ismount", lambda path: Path(path) == layout.archive)
    uninstall(layout, purge=True, agreed=True)
    assert f"emptied {layout.archive}, a mount point" in capsys.readouterr().out
    assert list(layout.data.rglob("*")) == [layout.archive]
    assert not layout.etc.exists()


def test_what_cannot_be_deleted_is_named_and_the_users_stay(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    run: list[tuple[str, ...]] = []
    monkeypatch.setattr(module.subprocess, "run", lambda command, **_: run.append(tuple(command)))
    refuse(monkeypatch, layout.backups, errno.EROFS)
    layout.backups.mkdir()
    with pytest.raises(UnavailableError, match=f"{layout.backups}: Read-only file system"):
        uninstall(layout, purge=True, agreed=True)
    assert not layout.state.exists()
    assert not layout.etc.exists()
    assert not run


def refuse(monkeypatch: pytest.MonkeyPatch, folder: Path, number: int) -> None:
    rmdir = os.rmdir

    def refusing(path: str | Path, *, dir_fd: int | None = None) -> None:
        if Path(path).name == folder.name:
            raise OSError(number, os.strerror(number))
        rmdir(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "rmdir", refusing)


def test_links_do_not_count_as_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(1000))
    (tmp_path / "link").symlink_to("/etc")
    assert contents(tmp_path) == "1 files, 0.0 MB"
