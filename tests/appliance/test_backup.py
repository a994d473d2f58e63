# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A backup and the way back from it."""

from __future__ import annotations

import errno
import io
import json
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from appliance.backup import back_up
from appliance.backup_file import BackupError
from appliance.errors import ApplianceError
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Position
from appliance.restore import restore
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.state_folder import StateFolder
from tests.appliance.ledger.new_ledger import ledger_in


def machine(folder: Path, text: str = "") -> tuple[Settings, Path]:
    """A state folder with a ledger, and settings that name it."""
    state = folder / "state"
    state.mkdir(parents=True)
    file = folder / "appliance.toml"
    file.write_text(f'state_dir = "{state}"\n{text}')
    settings = load_settings(file)
    ledger_in(state / "ledger.sqlite").close()
    return settings, file


def note_position(settings: Settings, seq: int) -> None:
    """Write something into the ledger that can be looked for."""
    ledger = Ledger(settings.ledger_url)
    ledger.feed.begin(Position(seq, "fingerprint", 1.0))
    ledger.close()


def position(settings: Settings) -> int | None:
    ledger = Ledger(settings.ledger_url)
    found = ledger.feed.position()
    ledger.close()
    return None if found is None else found.seq


def add_study(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.state_dir / "ledger.sqlite")) as ledger:
        columns = ledger.execute("PRAGMA table_info(studies)").fetchall()
        values = {name: 0 if "INT" in kind or "FLOAT" in kind else "x" for _, name, kind, *_ in columns}
        places = ", ".join("?" for _ in values)
        ledger.execute(f"INSERT INTO studies ({', '.join(values)}) VALUES ({places})", list(values.values()))
        ledger.commit()


def test_what_a_site_cannot_make_again_comes_back_on_another_machine(tmp_path: Path) -> None:
    old, old_file = machine(tmp_path / "old", "disk_low_gb = 7\n")
    note_position(old, 41)
    (old.state_dir / "accounts.toml").write_text("# accounts\n")
    model = old.site_models / "hemorrhage_detector_2" / "2" / "model.onnx"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"weights")
    out = tmp_path / "a.backup"
    contents = back_up(old, old_file, out)
    assert out.stat().st_mode & 0o077 == 0
    assert set(contents.files) == {
        "ledger.sqlite",
        "appliance.toml",
        "accounts.toml",
        "models/hemorrhage_detector_2/2/model.onnx",
    }
    old.state_dir.rename(tmp_path / "gone")
    old_file.unlink()
    new, new_file = machine(tmp_path / "old2")
    moved = out.with_name("moved")
    with pytest.raises(BackupError, match="--without-settings"):
        restore(out, new, new_file)
    assert position(new) is None, "something was restored before the settings were found unusable"
    restored = restore(out, new, new_file, with_settings=False)
    assert restored.files == contents.files
    assert position(new) == 41
    assert (new.state_dir / "accounts.toml").read_text() == "# accounts\n"
    assert (new.site_models / "hemorrhage_detector_2/2/model.onnx").read_bytes() == b"weights"
    assert not moved.exists()


def test_settings_come_back_where_the_folders_are_the_same_and_the_ones_before_are_kept(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here", "disk_low_gb = 7\n")
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    before = file.read_text()
    file.write_text(before.replace("gb = 7", "gb = 8"))
    file.chmod(0o640)
    restore(out, load_settings(file), file)
    assert load_settings(file).disk_low_gb == 7
    assert file.stat().st_mode & 0o777 == 0o640
    kept = list(file.parent.glob("appliance.toml.before-*"))
    assert [path.read_text() for path in kept] == [before.replace("gb = 7", "gb = 8")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[orthanc]\nstorage = "/elsewhere"\n', "orthanc.storage"),
        ('[triton]\nsite_models = "/elsewhere"\n', "triton.site_models"),
        ('[access]\naccounts = "/elsewhere"\n', "access.accounts"),
        ('[ledger]\nurl = "sqlite:////elsewhere/ledger.sqlite"\n', "ledger.url"),
        ('[ledger]\nurl = "postgresql+psycopg://u:hidden@db/ledger"\n', "ledger.url"),
        ('[ledger]\nurl = "postgresql+psycopg://u@db/ledger?password=hidden"\n', "ledger.url"),
    ],
)
def test_settings_that_mean_another_place_are_refused_and_nothing_is_restored(
    tmp_path: Path, text: str, name: str
) -> None:
    settings, file = machine(tmp_path / "here")
    ledger = settings.state_dir / "ledger.sqlite"
    empty = ledger.read_bytes()
    note_position(settings, 41)
    here = file.read_text()
    file.write_text(here + text)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    file.write_text(here)
    ledger.write_bytes(empty)
    with pytest.raises(BackupError, match=rf"\({name}\).*--without-settings") as refused:
        restore(out, settings, file)
    assert "hidden" not in str(refused.value)
    assert ledger.read_bytes() == empty
    restore(out, settings, file, with_settings=False)
    assert position(settings) == 41
    assert file.read_text() == here


def test_a_ledger_that_knows_studies_gives_way_only_when_told_and_is_kept(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    note_position(settings, 41)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    add_study(settings)
    with pytest.raises(BackupError, match="knows 1 studies"):
        restore(out, settings, file)
    restore(out, settings, file, replace=True)
    with closing(sqlite3.connect(settings.state_dir / "ledger.sqlite")) as ledger:
        assert ledger.execute("SELECT count(*) FROM studies").fetchone() == (0,)
    (kept,) = settings.state_dir.glob("ledger.sqlite.before-*")
    with closing(sqlite3.connect(kept)) as ledger:
        assert ledger.execute("SELECT count(*) FROM studies").fetchone() == (1,)


def damage(ledger: Path, how: str) -> None:
    data = bytearray(ledger.read_bytes())
    if how == "no SQLite at all":
        data = bytearray(b"a file that something else wrote\n" * 99)
    elif how == "cut short":
        del data[len(data) // 3 :]
    else:
        data[4096:] = b"\xa5" * (len(data) - 4096)
    ledger.write_bytes(data)


@pytest.mark.parametrize("how", ["no SQLite at all", "cut short", "pages overwritten"])
def test_a_damaged_ledger_gives_way_when_told_and_is_kept_as_it_is(tmp_path: Path, how: str) -> None:
    settings, file = machine(tmp_path / "here")
    note_position(settings, 41)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    add_study(settings)
    ledger = settings.state_dir / "ledger.sqlite"
    damage(ledger, how)
    log = settings.state_dir / "ledger.sqlite-wal"
    log.write_bytes(b"what a crash left")
    before = ledger.read_bytes()
    with pytest.raises(BackupError, match=r"may know studies.*--replace"):
        restore(out, settings, file)
    assert (ledger.read_bytes(), log.read_bytes()) == (before, b"what a crash left")
    restore(out, settings, file, replace=True)
    assert position(settings) == 41
    kept = {path.name[-4:]: path.read_bytes() for path in settings.state_dir.glob("ledger.sqlite.before-*")}
    assert sorted(kept.values()) == sorted([before, b"what a crash left"])
    assert kept["-wal"] == b"what a crash left"


def test_a_ledger_that_gave_way_is_kept_with_what_stood_in_its_log_alone(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    ledger = settings.state_dir / "ledger.sqlite"
    with closing(sqlite3.connect(ledger)):
        add_study(settings)
        crashed = {path.name: path.read_bytes() for path in settings.state_dir.glob("ledger.sqlite*")}
    for name, data in crashed.items():
        (settings.state_dir / name).write_bytes(data)
    (settings.state_dir / "ledger.sqlite-shm").unlink(missing_ok=True)
    with pytest.raises(BackupError, match="knows 1 studies"):
        restore(out, settings, file)
    restore(out, settings, file, replace=True)
    (kept,) = (path for path in settings.state_dir.glob("ledger.sqlite.before-*") if path.name.endswith("Z"))
    with closing(sqlite3.connect(kept)) as opened:
        assert opened.execute("SELECT count(*) FROM studies").fetchone() == (1,)
    with closing(sqlite3.connect(ledger)) as opened:
        assert opened.execute("SELECT count(*) FROM studies").fetchone() == (0,)


def test_a_ledger_file_in_which_nothing_was_ever_written_gives_way_at_once(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    note_position(settings, 41)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    (settings.state_dir / "ledger.sqlite").write_bytes(b"")
    restore(out, settings, file)
    assert position(settings) == 41


def test_a_disk_that_is_full_is_met_before_the_ledger_gives_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    ledger = settings.state_dir / "ledger.sqlite"
    damage(ledger, "pages overwritten")
    before = ledger.read_bytes()

    def fill(source: Path, target: Path) -> None:
        Path(target).write_bytes(b"a part")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("appliance.restore.shutil.copyfile", fill)
    with pytest.raises(OSError, match="No space left"):
        restore(out, settings, file, replace=True)
    assert ledger.read_bytes() == before
    assert not list(settings.state_dir.glob(".*.restored"))


def test_nothing_is_restored_under_a_running_service_and_backups_are_made_of_it(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    service = StateFolder(settings.state_dir)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    with pytest.raises(ApplianceError, match="another service works on this folder"):
        restore(out, settings, file)
    service.close()
    restore(out, settings, file)


def test_a_backup_is_never_written_over_another_one(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    out.write_text("the last one")
    with pytest.raises(BackupError, match="is there already"):
        back_up(settings, file, out)
    assert out.read_text() == "the last one"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 0.95])
def test_a_backup_that_was_cut_or_changed_is_refused_and_nothing_is_touched(tmp_path: Path, share: float) -> None:
    settings, file = machine(tmp_path / "here")
    note_position(settings, 41)
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    data = out.read_bytes()
    ledger = (settings.state_dir / "ledger.sqlite").read_bytes()
    at = int(len(data) * share)
    for spoiled in (data[:at], data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :]):
        out.write_bytes(spoiled)
        with pytest.raises(BackupError, match="backup"):
            restore(out, settings, file)
    assert (settings.state_dir / "ledger.sqlite").read_bytes() == ledger


def test_a_byte_changed_behind_the_last_file_is_seen_by_the_checksum_of_the_whole(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    back_up(settings, file, out)
    data = out.read_bytes()
    out.write_bytes(data[:-8] + bytes([data[-8] ^ 0xFF]) + data[-7:])  # the checksum itself
    with pytest.raises(BackupError, match="backup"):
        restore(out, settings, file)


def written(out: Path, files: dict[str, bytes], manifest: dict[str, object]) -> None:
    with tarfile.open(out, "w:gz") as tar:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize(
    "name", ["../outside", "/etc/passwd", "models/../../outside", "models/..", "other.txt", "models/.hidden/x"]
)
def test_a_file_that_belongs_to_no_backup_is_never_written(tmp_path: Path, name: str) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    manifest = {"format": 1, "made": "", "version": "", "files": {name: "0" * 64}}
    written(out, {name: b"x"}, manifest)
    with pytest.raises(BackupError, match="belong to no backup"):
        restore(out, settings, file)
    written(out, {name: b"x"}, manifest | {"files": {}})
    restore(out, settings, file)
    assert not (tmp_path / "outside").exists()
    assert {path.name for path in settings.state_dir.iterdir()} <= {
        "ledger.sqlite",
        "ledger.sqlite-wal",
        "ledger.sqlite-shm",
        "service.lock",
        "identity.json",
    }


def test_a_format_or_a_ledger_of_a_later_version_is_refused_by_name(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    out = tmp_path / "a.backup"
    written(out, {}, {"format": 2, "made": "", "version": "9", "files": {}})
    with pytest.raises(BackupError, match="format 2"):
        restore(out, settings, file)
    later, later_file = machine(tmp_path / "later")
    with closing(sqlite3.connect(later.state_dir / "ledger.sqlite")) as ledger:
        ledger.execute("UPDATE alembic_version SET version_num = '9999'")
        ledger.commit()
    out.unlink()
    back_up(later, later_file, out)
    with pytest.raises(BackupError, match="revision 9999"):
        restore(out, settings, file, with_settings=False)


def test_a_ledger_on_a_server_is_not_in_a_backup(tmp_path: Path) -> None:
    settings, file = machine(tmp_path / "here")
    on_server = settings.model_copy(
        update={"ledger": settings.ledger.model_copy(update={"url": "postgresql+psycopg://u@db/ledger"})}
    )
    contents = back_up(on_server, file, tmp_path / "a.backup")
    assert not contents.has_ledger
    back_up(settings, file, tmp_path / "b.backup")
    with pytest.raises(BackupError, match="names a server"):
        restore(tmp_path / "b.backup", on_server, file)
