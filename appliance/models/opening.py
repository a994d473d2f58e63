# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How commands about versions of the detector open a site: as whom, and with which errors."""

from __future__ import annotations

import getpass
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from appliance.console import FAILED, print_error, sentence_of
from appliance.errors import ApplianceError
from appliance.settings import Settings

if TYPE_CHECKING:
    from appliance.models.life import ModelLife

ByOption = Annotated[str, typer.Option("--by", help="Who does this; default: the user of this machine")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="VERSION", help="Its number, as `appliance models list` has it")
]


def user_here() -> str:
    """Return the user who runs this command, the one behind `sudo` where there is one, with the machine's name."""
    try:
        user = os.environ.get("SUDO_USER") or getpass.getuser()
    except (KeyError, OSError):  # a user of a container has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"[:160]


def require_owner(file: Path | None, command: str) -> None:
    """Raise `ApplianceError` when root is about to write the ledger of another user, who could write it no more."""
    if file is not None and file.exists() and os.geteuid() == 0 and file.stat().st_uid != 0:
        owner = file.stat().st_uid
        raise ApplianceError(
            f"{file} belongs to user {owner}: run this as that user (`setpriv --reuid={owner} --clear-groups "
            f"appliance {command} …`, or `runuser -u NAME`), or the service could not write it any more"
        )


@contextmanager
def open_life(settings: Settings, who: str = "") -> Iterator[ModelLife]:
    """Yield the versions of a site; an error of ours, or of the system, ends the command with a sentence and 1."""
    from appliance.ledger.engine import awaits_migration
    from appliance.ledger.ledger import Ledger
    from appliance.models.life import ModelLife
    from appliance.models.standing import ledger_file

    try:
        file = ledger_file(settings)
        require_owner(file, "models")
        if (file is not None and not file.exists()) or awaits_migration(settings.ledger_url):
            print_error("the ledger is not there yet, or of an older version: start the service first, which makes it")
            raise typer.Exit(FAILED)
        ledger = Ledger(settings.ledger_url, busy_s=settings.ledger.busy_s)
        try:
            yield ModelLife(settings, ledger, who[:160] or user_here())
        finally:
            ledger.close()
    except (ApplianceError, OSError) as error:
        print_error(sentence_of(error))
        raise typer.Exit(FAILED) from error
