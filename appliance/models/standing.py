# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which models may answer, in order of preference: the promoted one, those before it, the shipped one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import takewhile
from pathlib import Path

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from appliance.errors import ApplianceError
from appliance.inference.served_model import SHIPPED, Target
from appliance.ledger.engine import awaits_migration
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import ModelChange
from appliance.reading.contract import DETECTOR
from appliance.settings import Settings


def targets(promoted: Iterable[ModelChange]) -> tuple[Target, ...]:
    """Return the models that may answer by the promotions in force (`Models.list_promoted`), the wanted one first.

    To promote the shipped version is to go back to what comes with the appliance. An upgrade replaces that, and no
    version that was promoted before takes its place.
    """
    wanted = takewhile(lambda change: change.served_as != DETECTOR, promoted)
    return (*dict.fromkeys(Target(change.served_as, change.sha256) for change in wanted), SHIPPED)


def targets_of(settings: Settings, say: Callable[[str], None] = lambda _: None) -> tuple[Target, ...]:
    """Return the models that may answer, for a program other than the service, which changes nothing.

    Without a ledger it is the shipped one, as it is when this user may not read the ledger; then `say` is told.
    """
    try:
        file = ledger_file(settings)
        if file is not None and not file.exists():
            return (SHIPPED,)
        if file is not None and os.geteuid() == 0 and file.stat().st_uid != 0:
            # SQLite would create files of root beside it, which the service could not write.
            say(f"{file} belongs to another user: the model that came with the appliance is taken")
            return (SHIPPED,)
        if awaits_migration(settings.ledger_url):
            return (SHIPPED,)
        with closing(Ledger(settings.ledger_url)) as ledger:
            return targets(ledger.models.list_promoted())
    except (ApplianceError, ArgumentError, OSError) as error:
        say(f"which model was promoted cannot be read, so the one that came with the appliance is taken: {error}")
        return (SHIPPED,)


def ledger_file(settings: Settings) -> Path | None:
    """Return the ledger's file, None where it is a database server."""
    url = make_url(settings.ledger_url)
    return Path(url.database) if url.get_backend_name() == "sqlite" and url.database else None
