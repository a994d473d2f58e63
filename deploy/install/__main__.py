# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.install install | upgrade | uninstall | units`, which `deploy/install.sh` calls.

It runs as root, from the version to install, whose folder has been laid out already.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from appliance.errors import ApplianceError, SettingsError, UnavailableError
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.install.accounts import make_folders, make_secrets, make_users, share_settings
from deploy.install.answers import (
    ask_senders,
    merge,
    read_answers,
    require_answers_hold,
    write_first_settings,
)
from deploy.install.console import say, warn
from deploy.install.layout import TARGET, UNITS, Layout
from deploy.install.signals import orderly_end
from deploy.install.uninstall import uninstall
from deploy.install.units import systemctl, write_units
from deploy.install.upgrade import upgrade
from deploy.install.wellness import await_well, journal_of

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
VersionArgument = Annotated[str, typer.Argument(help="The version, whose folder is laid out")]
_WELL_WITHIN_S: Final = 60.0


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except (ApplianceError, OSError) as error:
        warn(str(error))
        raise typer.Exit(1) from error


def _layout() -> Layout:
    layout = Layout()
    os.environ |= layout.environment()
    return layout


@app.command("install")
def install_command(
    version: VersionArgument,
    answers: Annotated[Path | None, typer.Option(help="TOML file with settings")] = None,
) -> None:
    """Install a version that is laid out, or repair an earlier installation of it."""
    with _errors_in_words():
        layout = _layout()
        running = layout.current_version()
        if running not in ("", version):
            raise SettingsError(f"{running} is installed; `install.sh upgrade` puts {version} in its place")
        answered: dict[str, Any] = read_answers(answers) if answers is not None else {}
        make_users()
        make_folders(layout)
        make_secrets(layout)
        if layout.settings.exists():
            require_answers_hold(layout, answered)
            settings = load_settings(layout.settings)
        else:
            if "senders" not in answered.get("orthanc", {}):
                answered = merge(answered, {"orthanc": {"senders": ask_senders(layout)}})
            settings = write_first_settings(layout, answered)
        share_settings(layout)
        layout.switch(version)
        write_units(layout, settings)
        systemctl("daemon-reload")
        systemctl("enable", "--quiet", TARGET)
        say("starting Orthanc, Triton and the service")
        # Those that run already are those of an earlier installation: its programs may have been replaced.
        systemctl("restart", "--no-block", *UNITS)
        systemctl("start", "--no-block", TARGET)
        seen = await_well(layout, settings, settings.supervisor.starting_s)
        say(seen.report)
        if seen.fault:
            warn(journal_of())
            raise UnavailableError(f"not well: {seen.fault}")
        _say_what_to_enter(layout, settings)


def _say_what_to_enter(layout: Layout, settings: Settings) -> None:
    addresses = " or ".join(own_addresses()) or "this machine's address"
    say(f"At the scanner and the PACS enter: AE title {settings.orthanc.aet}, port {settings.orthanc.dicom_port},")
    say(f"host {addresses}.")
    if settings.orthanc.senders:
        say(f"They may send: {', '.join(settings.orthanc.senders)}.")
    else:
        say(f"Nobody but this machine may send yet: set orthanc.senders in {layout.settings}, then")
        say(f"    systemctl restart {TARGET}")
    service = settings.service
    say(f"Status: http://{service.host}:{service.port} (this machine); logs: journalctl -u 'hemorrhage-*'")
    if not (settings.archive.keep_days or settings.archive.most_gb):
        say("Studies stay in Orthanc forever, unless archive.keep_days or archive.most_gb removes old ones.")
    say("For testing and research: the shipped weights were trained on simulated scans alone.")


def own_addresses() -> list[str]:
    """Return the addresses of this machine for other machines, without those of containers."""
    done = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    return [address for address in done.stdout.split() if "." in address]


@app.command("upgrade")
def upgrade_command(
    version: VersionArgument,
    patience_s: Annotated[float, typer.Option(min=5, help="The new version must be well within this, s")] = (
        _WELL_WITHIN_S
    ),
    ledger_has_backup: Annotated[
        bool, typer.Option(help="A ledger on a server was backed up by its own means")
    ] = False,
) -> None:
    """Replace the running version by one that is laid out; go back if it does not get well."""
    with _errors_in_words():
        layout = _layout()
        if not layout.current_version():
            raise SettingsError("nothing is installed; `install.sh` without `upgrade` installs it")
        if layout.current_version() == version:
            say(f"{version} runs already")
            return
        settings = load_settings(layout.settings)
        with orderly_end():
            upgrade(layout, settings, version, patience_s, ledger_has_backup=ledger_has_backup)


@app.command("uninstall")
def uninstall_command(
    purge: Annotated[bool, typer.Option(help="Delete studies, answers, ledger, settings and users too")] = False,
    yes: Annotated[bool, typer.Option(help="Do not ask")] = False,
) -> None:
    """Stop and remove the units; the programs are removed by install.sh."""
    with _errors_in_words():
        uninstall(_layout(), purge=purge, agreed=yes)


@app.command("units")
def units_command() -> None:
    """Write this version's units again, and have systemd read them."""
    with _errors_in_words():
        layout = _layout()
        write_units(layout, load_settings(layout.settings))
        systemctl("daemon-reload")


if __name__ == "__main__":
    app(prog_name="python -m deploy.install")
