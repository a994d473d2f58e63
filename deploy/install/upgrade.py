# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Replaces the running version by a new one, and goes back if the new one does not get well.

The new version is laid out beside the old one before anything is stopped. Orthanc still receives studies while the
ledger is copied, and is down only for its own restart; studies that arrive meanwhile are answered afterwards.
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

from appliance.backup import ledger_file
from appliance.errors import ApplianceError, UnavailableError
from appliance.settings import Settings
from deploy.install.accounts import make_folders, make_secrets, make_users, share_settings
from deploy.install.console import say, warn
from deploy.install.layout import READER_USER, TARGET, UNITS, Layout
from deploy.install.ledger_copy import copy_ledger, revision, take_back
from deploy.install.signals import ignore_signals
from deploy.install.units import systemctl, write_units
from deploy.install.wellness import await_well, journal_of

_READERS = ("hemorrhage-service.service", "hemorrhage-triton.service")


def upgrade(layout: Layout, settings: Settings, new: str, patience_s: float, *, ledger_has_backup: bool) -> None:
    """Let version `new`, which is laid out beside the running one, take over.

    Raises `UnavailableError` when it is not well within `patience_s`: then the old version runs again. If the new one
    had changed the ledger's tables, the ledger is as it was before.
    """
    old = layout.current_version()
    file = ledger_file(settings)
    if file is None and not ledger_has_backup:
        raise UnavailableError(
            "the ledger is on a server (ledger.url), which other machines may use: back it up by its own means, and "
            "then call this with --ledger-has-backup. Nothing has been changed"
        )
    copy, before = None, ""
    try:
        say(f"stopping the service of {old}; Orthanc goes on taking studies")
        systemctl("stop", *_READERS)
        if file is not None and file.exists():
            copy, before = copy_ledger(file, layout.backups, old), revision(file)
            say(f"the ledger is copied to {copy}")
        make_users()
        make_folders(layout)
        make_secrets(layout)
        share_settings(layout)
        layout.switch(new)
        write_units(layout, settings)
        systemctl("daemon-reload")
        say(f"starting {new}, which has {patience_s:.0f} s to get well")
        systemctl("restart", "--no-block", *UNITS)
        seen = await_well(layout, settings, patience_s)
        if seen.fault:
            warn(f"{seen.report}\n{journal_of()}")
            raise UnavailableError(seen.fault)
    except BaseException as error:
        with ignore_signals():
            warn(f"{new} does not take over: {_reason(error)}")
            _go_back(layout, settings, old, copy, before, file)
        raise UnavailableError(f"{new} was taken back; {old} runs again, and no study is lost") from error
    say(f"{new} runs and is well")
    forget_older(layout, keep={old, new})


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | SystemExit):
        return "this command was ended from outside"
    return str(error) if isinstance(error, ApplianceError | OSError) else f"{type(error).__name__}: {error}"


def _go_back(layout: Layout, settings: Settings, old: str, copy: Path | None, before: str, file: Path | None) -> None:
    """Let the old version run again; restore the ledger's `copy` if its tables are not those of `before`.

    Whatever fails meanwhile, the stopped units are started.
    """
    warn(f"going back to {old}")
    systemctl("stop", *_READERS, check=False)
    with ExitStack() as whatever_happens:
        whatever_happens.callback(systemctl, "restart", "--no-block", *UNITS)
        whatever_happens.callback(_write_its_units, layout)
        layout.switch(old)
        if copy is not None and file is not None and revision(file) != before:
            _take_back(copy, file)
    seen = await_well(layout, settings, settings.supervisor.starting_s)
    if seen.fault:
        warn(f"{seen.report}\n{journal_of()}")
        raise UnavailableError(
            f"{old} is back and not well either: {seen.fault}\nsee `systemctl status {TARGET}` and `appliance doctor`"
        )


def _take_back(copy: Path, file: Path) -> None:
    try:
        take_back(copy, file)
    except OSError as error:
        raise UnavailableError(
            f"the ledger from before could not be put back: {error}. Put right what this says, and then\n"
            f"    systemctl stop {' '.join(_READERS)}\n"
            f"    rm -f {file}-wal {file}-shm\n"
            f"    install -o {READER_USER} -g {READER_USER} -m 600 {copy} {file}\n"
            f"    systemctl restart {TARGET}"
        ) from error
    warn(f"the ledger is again as it was before: {copy}; what the new version answered since is found in Orthanc")


def _write_its_units(layout: Layout) -> None:
    """Have the running version write its own units, which another version does not know."""
    python = layout.current / "service/bin/python"
    command = [str(python), "-P", "-m", "deploy.install", "units"]
    done = subprocess.run(
        command, env=layout.environment(), cwd="/", stderr=subprocess.PIPE, text=True, errors="replace", check=False
    )
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(command)}: {done.stderr.strip()}")


def forget_older(layout: Layout, keep: set[str]) -> None:
    """Remove versions other than the running one and the one before it."""
    for version in set(layout.versions()) - keep - {layout.current_version()}:
        shutil.rmtree(layout.version_folder(version))
        say(f"{version}, which was older still, is removed")
