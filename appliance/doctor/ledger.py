# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the ledger can be opened and written."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from appliance.delivery.rules import rules_digest
from appliance.doctor.check import Check
from appliance.doctor.state_folder import find_files_of_others
from appliance.errors import ApplianceError
from appliance.ledger.engine import awaits_migration
from appliance.ledger.ledger import Ledger
from appliance.settings import Settings


def check_ledger(settings: Settings) -> Iterator[Check]:
    """Open the ledger, unless the service has yet to make or migrate it."""
    try:
        url = make_url(settings.ledger_url)
    except ArgumentError:
        yield Check(
            "ledger",
            "fail",
            "ledger.url is no SQLAlchemy URL",
            "leave it empty for a file in the state folder, or write postgresql+psycopg://user:password@host/database",
        )
        return
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        yield Check("ledger", "ok", f"{shown} is not there yet; the first start makes it")
        return
    if url.get_backend_name() == "sqlite" and url.database:
        file = Path(url.database)
        beside = (file.with_name(f"{file.name}{end}") for end in ("", "-wal", "-shm"))
        strangers = find_files_of_others(file.parent, beside)
        if strangers:
            yield Check(
                "ledger",
                "fail",
                f"{', '.join(map(str, strangers))} belong to another user than their folder",
                f"`chown --reference={file.parent} {' '.join(map(str, strangers))}`: a command run as another user "
                "made them, and the service cannot write them",
            )
            return
        if os.geteuid() == 0 and file.stat().st_uid != 0:
            # SQLite would make files of root beside it, which the service could not write.
            yield Check(
                "ledger",
                "warn",
                f"{shown} belongs to {_name_of(file.stat().st_uid)} and was not written to as root",
                f"run the doctor as that user: `runuser -u {_name_of(file.stat().st_uid)} -- appliance doctor`",
            )
            return
    try:
        if awaits_migration(settings.ledger_url):  # opening it would migrate it, which only the service may do
            yield Check("ledger", "ok", f"{shown} is of an older version; the next start of the service migrates it")
            return
        ledger = Ledger(settings.ledger_url)
        try:
            ledger.services.beat("doctor", "")
            unseen = ledger.sweeps.count_unseen()
            others = ledger.services.with_other_rules(rules_digest(settings))
        finally:
            ledger.close()
    except ApplianceError as error:
        yield Check(
            "ledger",
            "fail",
            str(error),
            "check ledger.url, the rights of the file or user, and the disk or database server",
        )
    else:
        yield Check("ledger", "ok", f"{shown} opens and takes writes")
        if unseen:
            yield Check(
                "unseen series",
                "warn",
                f"{unseen} series in Orthanc could not be looked at so far",
                "see the service's log (`a series cannot be looked at`) and Orthanc's; each is looked at again",
            )
        if others:
            yield Check(
                "rules of services",
                "warn",
                f"{len(others)} services on this ledger work by other rules or destinations than these settings: "
                f"{', '.join(others)}",
                "give all services on a ledger the same `rules` and `destinations`, and restart them: whichever looks "
                "first applies its own",
            )


def _name_of(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
