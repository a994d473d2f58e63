# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Backing up one machine and moving to another, by the commands of docs/backup.md."""

from __future__ import annotations

import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.install.documented import BACK_UP, COPY_THE_ARCHIVE, RESTORE
from tests.install.site import AGAIN_S, Site, Study, require

BACKUP: Final = "root/site-20260101.backup"
ARCHIVE: Final = "mnt/backup/orthanc"


@dataclass
class BackedUp:
    """What a machine held when it was backed up, and a study that came after that."""

    holdings: dict[str, Any]
    late: Study


def back_up(site: Site) -> BackedUp:
    """Back up as docs/backup.md says: ledger and settings while the service runs, the archive while Orthanc rests.

    Afterwards a study comes and is answered, which neither copy knows.
    """
    (site.machine.folder / "mnt/backup").mkdir()
    site.run_documented(BACK_UP)
    site.run_documented(COPY_THE_ARCHIVE)
    site.require_well()
    done = BackedUp(site.holdings(), site.new_study())
    site.ask("send", str(done.late.folder))
    site.require_answer(done.late)
    return done


def move(old: Site, new: Site, backed_up: BackedUp, known: Study, bundle: Path) -> str:
    """Restore `old`, which is switched off, on the fresh machine `new`; nothing that was answered is answered again.

    The PACS sends one study again that the backup knows, and the one that it lacks.
    """
    before = backed_up.holdings
    new.machine.boot()
    # The appliance's users get other numbers than on the old machine.
    new.machine.run("useradd", "--system", "--user-group", "another")
    new.put(bundle)
    new.installer("--offline", f"/root/{bundle.name}")
    shutil.copy(old.machine.folder / BACKUP, new.machine.folder / BACKUP)
    copy = new.machine.folder / ARCHIVE
    copy.parent.mkdir()
    subprocess.run(["cp", "-a", str(old.machine.folder / ARCHIVE), str(copy)], check=True)
    begin = time.monotonic()
    new.run_documented(RESTORE)
    new.require_well()
    seconds = time.monotonic() - begin
    require(new.holdings() == before, f"{before} became {new.holdings()}")
    new.ask("send", str(known.folder))
    time.sleep(AGAIN_S)
    require(new.holdings() == before, f"answered twice: {before} became {new.holdings()}")
    new.ask("send", str(backed_up.late.folder))
    answer = new.require_answer(backed_up.late)
    decided = new.holdings()["decided"]
    require(decided == sorted([*before["decided"], backed_up.late.uid]), f"{before['decided']} became {decided}")
    new.machine.run("appliance", "audit", "verify")
    return (
        f"all well after {seconds:.0f} s; {len(before['decided'])} decisions, none made again, the audit trail whole; "
        f"the study that the backup lacks, sent again: {answer}"
    )
