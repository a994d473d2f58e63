# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m deploy.containers.ledger kind | copy FOLDER | take-back COPY REVISION`: the ledger from before an upgrade.

`upgrade.sh` runs this in a container of its own, of the new version's image, while no service runs. It prints one line
for the script: of `kind` whether there is a `file` to copy, a `server`, or `none`; of `copy` the copy's name and the
ledger's last migration; of `take-back` whether the ledger was put back (`taken`), or had the same tables and stays
(`kept`).
"""

from __future__ import annotations

import sys
from pathlib import Path

from appliance.backup import ledger_file
from appliance.errors import ApplianceError, SettingsError
from appliance.settings_sources import load_settings, settings_file
from deploy.install.ledger_copy import copy_ledger, revision, take_back


def kind(ledger: Path | None) -> str:
    """Return whether the ledger is a file that is there, on a server, or nowhere that this container sees."""
    if ledger is None:
        return "server"
    return "file" if ledger.exists() else "none"


def copy(ledger: Path, folder: Path) -> str:
    """Copy the ledger into a folder and return what the script reads. Raises `BackupError` when it cannot be copied."""
    return f"{copy_ledger(ledger, folder, 'before').name} {revision(ledger) or 'none'}"


def put_back(ledger: Path | None, copied: Path, before: str) -> str:
    """Put the copy in the ledger's place if its last migration is not `before`; return what the script reads."""
    if ledger is None or (revision(ledger) or "none") == before:
        return "kept"
    take_back(copied, ledger)
    return "taken"


def main(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit status."""
    try:
        file = settings_file()
        if file is None:
            raise SettingsError("there is no settings file; mount one on /etc/hemorrhage-appliance/appliance.toml")
        ledger = ledger_file(load_settings(file))
        match arguments:
            case ["kind"]:
                print(kind(ledger))
            case ["copy", folder] if ledger is not None:
                print(copy(ledger, Path(folder)))
            case ["take-back", copied, before]:
                print(put_back(ledger, Path(copied), before))
            case _:
                print("kind, copy FOLDER or take-back COPY REVISION is wanted", file=sys.stderr)
                return 2
    except (ApplianceError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
