# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What an upgrade leaves running when it is cut short; that it works at all is tried on a machine (tests.install)."""

from __future__ import annotations

import errno
import io
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer

from appliance.errors import UnavailableError
from appliance.settings import Settings
from deploy.install import __main__ as commands
from deploy.install import upgrade as module
from deploy.install.console import say, warn
from deploy.install.layout import UNITS, Layout
from deploy.install.ledger_copy import revision
from deploy.install.signals import orderly_end
from deploy.install.upgrade import upgrade
from deploy.install.wellness import Wellness

STARTED = ("restart", "--no-block", *UNITS)


class Site:
    """A machine that runs version `old`, with `new` beside it; what systemd is asked is noted."""

    def __init__(self, folder: Path) -> None:
        self.layout = Layout(folder)
        for version in ("old", "new"):
            python = self.layout.version_folder(version) / "service/bin/python"
            python.parent.mkdir(parents=True)
            python.write_text(f"#!/bin/sh\necho {version} >>{folder}/wrote-units\n")
            python.chmod(0o755)
        self.layout.switch("old")
        for made in (self.layout.state, self.layout.backups, self.layout.etc):
            made.mkdir(parents=True)
        self.settings = Settings(state_dir=self.layout.state)
        self.ledger = self.layout.state / "ledger.sqlite"
        self.migrate("0001")
        self.asked: list[tuple[str, ...]] = []
        self.while_waiting: Callable[[], object] = str
        self.waited = 0

    def migrate(self, to: str) -> None:
        with closing(sqlite3.connect(self.ledger)) as ledger, ledger:
            ledger.execute("CREATE TABLE IF NOT EXISTS alembic_version (version_num TEXT)")
            ledger.execute("DELETE FROM alembic_version")
            ledger.execute("INSERT INTO alembic_version VALUES (?)", (to,))

    def await_well(self, *_: object) -> Wellness:
        self.waited += 1
        if self.waited == 1:
            self.migrate("0002")
            self.while_waiting()
            return Wellness("the new version is not well")
        return Wellness("")

    def upgrade(self) -> None:
        upgrade(self.layout, self.settings, "new", 60, ledger_has_backup=False)

    def runs(self) -> str:
        """Return the version that was started last; raises when nothing was since something was stopped."""
        orders = [words for words in self.asked if words[0] in ("stop", "restart")]
        assert orders[-1] == STARTED
        return self.layout.current_version()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    found = Site(tmp_path)
    for name in ("make_users", "make_folders", "make_secrets", "share_settings"):
        monkeypatch.setattr(module, name, lambda *_: None)
    monkeypatch.setattr(module, "systemctl", lambda *words, check=True: found.asked.append(words) or "")
    monkeypatch.setattr(module, "await_well", found.await_well)
    monkeypatch.setattr(module, "journal_of", lambda: "")
    return found


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    now = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        signal.signal(number, handler)
    assert now == before


def test_a_version_that_is_not_well_is_taken_back_with_its_ledger(site: Site) -> None:
    with pytest.raises(UnavailableError, match="old runs again"):
        site.upgrade()
    assert site.runs() == "old"
    assert revision(site.ledger) == "0001"
    assert (site.layout.root / "wrote-units").read_text() == "old\n", "the units are not those of the old version"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_upgrade_that_is_ended_from_outside_goes_back(site: Site, number: signal.Signals) -> None:
    site.while_waiting = lambda: os.kill(os.getpid(), number)
    with orderly_end(), pytest.raises(UnavailableError, match="old runs again"):
        site.upgrade()
    assert site.runs() == "old"
    assert revision(site.ledger) == "0001"


def test_one_that_is_ended_while_it_stops_the_service_starts_it_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def systemctl(*words: str, check: bool = True) -> str:
        site.asked.append(words)
        if len(site.asked) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return ""

    monkeypatch.setattr(module, "systemctl", systemctl)
    site.waited = 1
    with orderly_end(), pytest.raises(UnavailableError, match="old runs again"):
        site.upgrade()
    assert site.runs() == "old"


def test_going_back_is_not_ended_from_outside(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    take_back = module.take_back

    def disturbed(copy: Path, file: Path) -> None:
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            assert signal.getsignal(number) == signal.SIG_IGN
            os.kill(os.getpid(), number)
        take_back(copy, file)

    monkeypatch.setattr(module, "take_back", disturbed)
    with pytest.raises(UnavailableError, match="old runs again"):
        site.upgrade()
    assert site.runs() == "old"


def test_what_was_stopped_is_started_though_the_ledger_cannot_be_put_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "take_back", full)
    with pytest.raises(UnavailableError, match=r"(?s)No space left.*install -o hemorrhage"):
        site.upgrade()
    assert site.runs() == "old"


def test_what_was_stopped_is_started_though_the_old_version_cannot_write_its_units(site: Site) -> None:
    (site.layout.version_folder("old") / "service/bin/python").write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    with pytest.raises(UnavailableError, match="broken"):
        site.upgrade()
    assert site.runs() == "old"


def test_the_command_outlives_its_terminal_and_hears_sigterm(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def in_the_middle(*_: Any, **__: Any) -> None:
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        os.kill(os.getpid(), signal.SIGHUP)
        assert callable(signal.getsignal(signal.SIGTERM))
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            heard.append("SIGTERM")
            raise UnavailableError("taken back") from None

    monkeypatch.setattr(commands, "_layout", lambda: site.layout)
    monkeypatch.setattr(commands, "load_settings", lambda _: site.settings)
    monkeypatch.setattr(commands, "upgrade", in_the_middle)
    with pytest.raises(typer.Exit):
        commands.upgrade_command("new", 60, ledger_has_backup=False)
    assert heard == ["SIGTERM"]


def test_a_terminal_that_has_gone_away_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", Gone())
    say("one thing")
    warn("another")
