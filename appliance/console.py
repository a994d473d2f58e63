# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the commands of `appliance` share: their options, exit statuses, and how they speak to people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.table import Column, Table

from appliance.errors import ApplianceError
from appliance.settings import Settings
from appliance.settings_sources import load_settings

SettingsOption = Annotated[
    Path | None,
    typer.Option(
        "--settings", help="TOML file; else $APPLIANCE_SETTINGS, ./appliance.toml, /etc/hemorrhage-appliance/"
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")]

out = Console()
err = Console(stderr=True)

ANALYSED, FAILED, USAGE, REFUSED = 0, 1, 2, 3

PATIENCE_S: Final = 10.0
"""How long commands wait for the service, s."""


def print_error(sentence: str) -> None:
    """Print on standard error, in red, what went wrong."""
    # Text from outside (paths, headers, servers) may look like markup to rich.
    err.print(sentence, style="red", markup=False, highlight=False, soft_wrap=True)


def say(sentence: str) -> None:
    """Print on standard error what is going on."""
    err.print(sentence, markup=False, highlight=False, soft_wrap=True)


def folding_table(*headings: str) -> Table:
    """Return a table that breaks a long word (a path, a UID) over lines instead of cutting it."""
    return Table(*(Column(heading, overflow="fold") for heading in headings))


def sentence_of(error: ApplianceError | OSError) -> str:
    """Return what happened: the text of our own errors, or what and where a fault of the system was."""
    if isinstance(error, ApplianceError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or type(error).__name__}; check the rights of this user and the room on the disk"


def load_settings_or_exit(path: Path | None) -> Settings:
    """Return the settings; if one is wrong, name it and end the command with `USAGE`."""
    try:
        return load_settings(path)
    except ApplianceError as error:
        print_error(str(error))
        raise typer.Exit(USAGE) from error


@contextmanager
def faults_end_the_command() -> Iterator[None]:
    """Print a fault of ours or of the system, and end the command with `FAILED`."""
    try:
        yield
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error
