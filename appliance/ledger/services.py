# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The services that use the ledger: each regularly writes a heartbeat, which proves that it can write."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from appliance.errors import ApplianceError
from appliance.ledger import tables
from appliance.ledger.database import Database
from appliance.ledger.rows import insert_unless_there


class TwinError(ApplianceError):
    """Another service uses the same identity: its machine was cloned, the state folder with it."""


RECENT_S: Final = 120.0
"""A service whose last heartbeat is older has ended, or is away."""


class Services:
    """The heartbeats."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._beaten = ""

    def beat(self, identity: str, session: str, rules: str = "") -> None:
        """Write a heartbeat of this `session` of the service `identity`, which works by the rules with this digest.

        Raises `TwinError` when another session has written since this one did, and `UnavailableError` when nothing can
        be written.
        """
        services = tables.services
        with self._database.writing() as connection:
            before = connection.execute(
                select(services.c.session).where(services.c.identity == identity).with_for_update()
            ).scalar()
            values = {"session": session, "seen": self._database.clock(), "rules": rules}
            is_new = before is None and insert_unless_there(connection, services, {"identity": identity, **values})
            if not is_new:
                connection.execute(update(services).where(services.c.identity == identity).values(values))
        is_twin, self._beaten = before not in (None, session) and self._beaten == session, session
        if is_twin:
            raise TwinError(
                f"another service writes to this ledger with our identity {identity}: its machine or state folder is a "
                "clone of this one; stop one of the two and remove identity.json from its state folder"
            )

    def with_other_rules(self, rules: str) -> list[str]:
        """Return the identities of services that were there just now and work by other rules than these.

        One that does not say by which, as the doctor and older versions do not, is left out.
        """
        services = tables.services
        with self._database.reading() as connection:
            rows = connection.execute(
                select(services.c.identity)
                .where(services.c.rules.not_in(("", rules)), services.c.seen > self._database.clock() - RECENT_S)
                .order_by(services.c.identity)
            )
            return [str(row.identity) for row in rows]
