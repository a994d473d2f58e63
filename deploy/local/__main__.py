# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.local up | down | status`: the appliance on this machine, kept running after the command ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from appliance.errors import ApplianceError, UnavailableError
from appliance.inference.server import clear_shared_memory
from appliance.private import be_private
from appliance.settings import Settings, load_settings
from deploy.local import records
from deploy.local.appliance import LocalAppliance
from deploy.local.service import ROOT
from deploy.local.settings_file import absolute

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Orthanc, Triton and the appliance's service as plain processes of this machine.",
)
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file; else as for the command `appliance`"),
]
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _settings(path: Path | None) -> Settings:
    return absolute(load_settings(path), ROOT)


@contextmanager
def _errors_in_words() -> Iterator[None]:
    try:
        yield
    except ApplianceError as error:
        err.print(str(error), style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        fault = f"{where}{error.strerror}; check the rights of this user and the room on the disk"
        err.print(fault, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1) from error


@contextmanager
def _alone(state_dir: Path) -> Iterator[None]:
    """Keep a second `up` or `down` on one state folder out. Raises `UnavailableError`."""
    be_private()
    state_dir.mkdir(parents=True, exist_ok=True)
    with (state_dir / "processes.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnavailableError(f"another `up` or `down` works on {state_dir}; wait for it") from error
        yield


@app.command()
def up(settings: SettingsOption = None) -> None:
    """Start Orthanc, Triton and the service, and return when studies can be sent."""
    with _errors_in_words():
        loaded = _settings(settings)
        with _alone(loaded.state_dir):
            known = records.read(loaded.state_dir)
            running = [record for record in known if record.is_running()]
            if known and len(running) == len(known):
                out.print("already running")
                _print(known)
                return
            if running:
                names = ", ".join(f"{record.name} (process {record.pid})" for record in running)
                raise UnavailableError(f"{names} still runs and the others do not; `make down`, then `make up`")
            out.print(f"starting in {loaded.state_dir}", soft_wrap=True)
            if os.geteuid() == 0:
                err.print(
                    "as root, and so are all three: for trying it out; a site gives them a user of their own "
                    "(docs/security.md)",
                    style="yellow",
                    soft_wrap=True,
                )
            local = LocalAppliance(loaded, detached=True, report=_report)
            local.start()
            _print(local.records())
            out.print(
                f"send studies to AE title {loaded.orthanc.aet}, port {loaded.orthanc.dicom_port}; "
                f"status: {local.service.url}; `make down` stops it"
            )


@app.command()
def down(settings: SettingsOption = None) -> None:
    """Stop what `up` started, and nothing else; studies and answers stay."""
    with _errors_in_words():
        loaded = _settings(settings)
        with _alone(loaded.state_dir):
            known = records.read(loaded.state_dir)
            if not known:
                out.print(f"nothing was started in {loaded.state_dir}", soft_wrap=True)
            for record in reversed(known):
                ended = records.end(record)
                out.print(f"{record.name} {'is stopped' if ended else 'had ended before'}")
            records.forget(loaded.state_dir)
            clear_shared_memory(loaded.triton)


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show what `up` started; exit 1 unless all of it runs."""
    with _errors_in_words():
        loaded = _settings(settings)
        known = records.read(loaded.state_dir)
        if not known:
            raise UnavailableError(f"nothing was started in {loaded.state_dir}; `make up` starts it")
        _print(known)
        if not all(record.is_running() for record in known):
            raise typer.Exit(1)


def _report(name: str, seconds: float) -> None:
    out.print(f"  {name} is ready after {seconds:.1f} s")


def _print(known: list[records.Record]) -> None:
    headings = ("server", "state", "process", "address", "log")
    table = Table(*(Column(heading, overflow="fold") for heading in headings))
    for record in known:
        state = "runs" if record.is_running() else "[red]has ended[/red]"
        table.add_row(record.name, state, str(record.pid), record.address, record.log)
    out.print(table)


if __name__ == "__main__":
    app(prog_name="python -m deploy.local")
