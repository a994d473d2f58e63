# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.local up | down | status`: the appliance on this machine, kept running after the command ends."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from appliance.errors import ApplianceError, UnavailableError
from appliance.inference.server import clear_shared_memory
from appliance.private import be_private
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from deploy.local import records
from deploy.local.answering import questions
from deploy.local.service import ROOT
from deploy.local.settings_file import make_absolute
from deploy.local.supervised import SupervisedAppliance, addresses, stop_s
from deploy.local.watch import Seen, read_seen

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Orthanc, Triton and the appliance's service as plain processes of this machine.",
)
SettingsOption = Annotated[
    Path | None,
    typer.Option("--settings", help="TOML file; else as for the command `appliance`"),
]
_SUPERVISOR = "supervisor"
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def _settings(path: Path | None) -> Settings:
    return make_absolute(load_settings(path), ROOT)


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
def _hold(state_dir: Path) -> Iterator[None]:
    """Exclude a second `up` or `down` on the same state folder. Raises `UnavailableError`."""
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
    """Start Orthanc, Triton and the service under a supervisor, and return when studies can be sent."""
    with _errors_in_words():
        loaded = _settings(settings)
        with _hold(loaded.state_dir):
            known = records.read(loaded.state_dir)
            running = [record for record in known if record.is_running()]
            if any(record.name != _SUPERVISOR for record in running):
                names = ", ".join(f"{record.name} (process {record.pid})" for record in running)
                raise UnavailableError(f"an older version started {names}; `make down`, then `make up`")
            if running:
                out.print("already running")
                loaded = _as_started(loaded)
            local = SupervisedAppliance(loaded)
            if not running:
                _start(local, is_after_a_crash=bool(known))
            try:
                local.await_ready(loaded.supervisor.starting_s, _report)
            except BaseException:
                if not running:  # one that ran before is left to go on trying
                    _end(loaded)
                raise
            _print(local.settings)
            out.print(
                f"send studies to AE title {loaded.orthanc.aet}, port {loaded.orthanc.dicom_port}; "
                f"status: {addresses(loaded)['service']}; `make down` stops it"
            )


def _start(local: SupervisedAppliance, *, is_after_a_crash: bool) -> None:
    out.print(f"starting in {local.state_dir}", soft_wrap=True)
    if is_after_a_crash:
        local.await_free_ports()
    user, note = local.choose_user()
    if note:
        err.print(note, style="" if user is not None else "yellow", soft_wrap=True)
    pid = local.start(user)
    record = records.record_of(_SUPERVISOR, pid, str(local.supervisor.control.socket), local.supervisor.log)
    records.write([record], local.state_dir)


@app.command()
def down(settings: SettingsOption = None) -> None:
    """Stop what `up` started, and nothing else; studies and answers stay."""
    with _errors_in_words():
        loaded = _settings(settings)
        with _hold(loaded.state_dir):
            if not records.read(loaded.state_dir):
                out.print(f"nothing was started in {loaded.state_dir}", soft_wrap=True)
            _end(loaded)


def _end(loaded: Settings) -> None:
    for record in reversed(records.read(loaded.state_dir)):
        ended = records.end(record, stop_s(loaded))
        out.print(f"{record.name} {'is stopped' if ended else 'had ended before'}")
    records.forget(loaded.state_dir)
    clear_shared_memory(loaded.triton)


@app.command()
def status(settings: SettingsOption = None) -> None:
    """Show the servers that `up` started, which were restarted and why; exit 1 unless all of them answer."""
    with _errors_in_words():
        loaded = _settings(settings)
        known = records.read(loaded.state_dir)
        if not known:
            raise UnavailableError(f"nothing was started in {loaded.state_dir}; `make up` starts it")
        if not all(record.is_running() for record in known):
            raise UnavailableError("the supervisor has ended; `make up` starts all again")
        if not _print(_as_started(loaded)):
            raise typer.Exit(1)


def _as_started(loaded: Settings) -> Settings:
    """Return the settings with which the servers of a state folder were started; the file may have changed since."""
    return load_settings(loaded.state_dir / "service" / "appliance.toml")


def _report(name: str, seconds: float) -> None:
    out.print(f"  {name} is ready after {seconds:.1f} s")


def _print(loaded: Settings) -> bool:
    """Print the servers; return whether all answer."""
    local = SupervisedAppliance(loaded)
    asked, seen, programs = questions(loaded), read_seen(local.seen), local.supervisor.control.programs()
    headings = ("server", "state", "process", "started again", "address", "log")
    table = Table(*(Column(heading, overflow="fold") for heading in headings))
    faults = {name: ask() if programs[name].pid else "has ended, is started again" for name, ask in asked.items()}
    for name, address in addresses(loaded).items():
        past = seen.get(name, Seen())
        again = f"{past.restarts} times, last {past.last_restart}: {past.why}" if past.restarts else "never"
        state = f"[red]{escape(faults[name])}[/red]" if faults[name] else "answers"
        table.add_row(name, state, str(programs[name].pid or ""), escape(again), address, str(local.logs[name]))
    out.print(table)
    return not any(faults.values())


if __name__ == "__main__":
    app(prog_name="python -m deploy.local")
