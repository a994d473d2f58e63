# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The ledger: what was taken in, decided and done, so that a study is neither lost nor answered twice.

Orthanc's change log and the series themselves are the source of truth about studies; the ledger is the source of truth
about the appliance. It has a part for each thing that it keeps. Each method of a part is one transaction; the cursor of
the change log moves in the transaction that records the effect of the entries. The states of jobs and studies change
only along the tables in `states`.
"""

from __future__ import annotations

from collections.abc import Callable

from appliance.ledger.audit import Audit
from appliance.ledger.board import Board
from appliance.ledger.database import Database
from appliance.ledger.engine import BUSY_S
from appliance.ledger.feed import Feed
from appliance.ledger.golden import GoldenStudies
from appliance.ledger.jobs import Jobs
from appliance.ledger.keeping import Keeping
from appliance.ledger.models import Models
from appliance.ledger.news import News
from appliance.ledger.opinions import Opinions
from appliance.ledger.outbox import Outbox
from appliance.ledger.priors import Priors
from appliance.ledger.queue import Queue
from appliance.ledger.series import Series
from appliance.ledger.services import Services
from appliance.ledger.shadows import Shadows
from appliance.ledger.studies import Studies
from appliance.ledger.sweeps import Sweeps
from appliance.ledger.views import Views


class Ledger:
    """The ledger at one SQLAlchemy URL; may be used from several threads and, with PostgreSQL, several machines.

    `clock` is for tests; `busy_s` is the longest wait for another writer, s.

    Every method of its parts raises `UnavailableError` when the database does not answer.

    Attributes
    ----------
    feed
        How far Orthanc's change log has been read.
    series
        The known series, and who made them.
    studies
        The followed studies, from their first instance to the decision.
    queue
        The open jobs, and who works on them.
    jobs
        The answers that were given or refused, with their result objects.
    priors
        Answers whose patient's other scans are to be looked for, and studies fetched from the PACS.
    outbox
        What goes to whom, on its way or delivered.
    news
        Wakes threads of this process that wait for an entry.
    opinions
        What readers say of the answers.
    board
        The studies by urgency, a page at a time.
    services
        The services that use the ledger, by their heartbeats.
    models
        Which version of the detector answers, and the history of the versions.
    golden
        The studies whose answers were confirmed, for the proof of a new version.
    shadows
        What a shadow version of the detector says about studies that another one answered.
    sweeps
        The sweep in progress over all series, and the series that could not be looked at.
    audit
        Who asked and looked, what was decided, what went where.
    keeping
        What is old and may be removed from the archive or the ledger.
    views
        What people and Prometheus look at.
    """

    def __init__(self, url: str, clock: Callable[[], float] | None = None, busy_s: float = BUSY_S) -> None:
        self._database = Database(url, clock, busy_s)
        self.feed = Feed(self._database)
        self.series = Series(self._database)
        self.studies = Studies(self._database)
        self.queue = Queue(self._database)
        self.news = News()
        self.jobs = Jobs(self._database, self.news)
        self.outbox = Outbox(self._database, self.news)
        self.opinions = Opinions(self._database)
        self.board = Board(self._database)
        self.priors = Priors(self._database)
        self.models = Models(self._database)
        self.golden = GoldenStudies(self._database)
        self.services = Services(self._database)
        self.shadows = Shadows(self._database)
        self.sweeps = Sweeps(self._database)
        self.audit = Audit(self._database)
        self.keeping = Keeping(self._database)
        self.views = Views(self._database)

    @property
    def clock(self) -> Callable[[], float]:
        """The clock of the ledger's times (Unix time): the database's if several machines share it."""
        return self._database.clock

    def follow_clock(self) -> float:
        """Set the clock again if it has drifted from its origin; return by how much it was off, s.

        Call this only while nothing waits: no study is followed and no job is open.
        """
        return self._database.follow_clock()

    def close(self) -> None:
        """Close the database."""
        self._database.close()
