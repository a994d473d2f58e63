# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was taken in, decided and done, so that a study is neither lost nor answered twice.

Orthanc's change log and the series themselves are the source of truth about studies; the ledger is the source of
truth about the appliance. It has a part for each
thing that it keeps. Each of their methods is one transaction; the cursor of the change
log moves in the same transaction as what the entries led to. Job and study states change only along the tables in
`states`.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.ledger.database import Database
from appliance.ledger.engine import BUSY_S
from appliance.ledger.feed import Feed
from appliance.ledger.jobs import Jobs
from appliance.ledger.series import Series
from appliance.ledger.services import Services
from appliance.ledger.studies import Studies
from appliance.ledger.views import Views


class Ledger:
    """The ledger at one SQLAlchemy URL; may be used from several threads and, with PostgreSQL, several machines.

    Every method of its parts raises `UnavailableError` when the database does not answer.

    Attributes
    ----------
    feed
        How far Orthanc's change log was taken in.
    series
        The series that are known, and whose they are.
    studies
        The studies that are followed, from their first instance to the decision.
    jobs
        The answers, on their way or given, with their result objects.
    services
        The services that use the ledger, by their heartbeats.
    views
        What people and Prometheus look at.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.time, busy_s: float = BUSY_S) -> None:
        self._database = Database(url, clock, busy_s)
        self.feed = Feed(self._database)
        self.series = Series(self._database)
        self.studies = Studies(self._database)
        self.jobs = Jobs(self._database)
        self.services = Services(self._database)
        self.views = Views(self._database)

    def close(self) -> None:
        """Close the database."""
        self._database.close()
