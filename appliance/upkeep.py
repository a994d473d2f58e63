# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the service does regularly besides studies: leases, shared memory, the certificate, the audit trail.

A fault is logged, and the next round tries again; none ends a thread.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog

from appliance.clocks import DAY_S
from appliance.errors import SettingsError
from appliance.intake.handover import Handover
from appliance.leases import Leases
from appliance.ledger.ledger import Ledger
from appliance.ledger.states import OPEN
from appliance.log import describe
from appliance.metrics import Metrics
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from appliance.web.certificate import Certificate
from appliance.web.looks import Looks

_CLOCK_FOLLOWED_EVERY_S: Final = 60.0
_TIDIED_EVERY_S: Final = 60.0
_AUDITED_EVERY_S: Final = 2.0
_DIGEST_EVERY_S: Final = 3600.0


class Upkeep:
    """The upkeep of one service; each `keep_` method is the body of a thread, which ends when `stopping` is set."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        leases: Leases,
        room: ReadingRoom,
        handover: Handover,
        certificate: Certificate | None,
        looks: Looks,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._leases = leases
        self._room = room
        self._handover = handover
        self._certificate = certificate
        self._looks = looks
        self._metrics = metrics
        self._clock_followed_at = time.monotonic()
        self._log = structlog.get_logger("service")

    def keep_leases(self, stopping: threading.Event) -> None:
        """Renew the leases of jobs that are worked on, and take up jobs that were left."""
        every_s = self._settings.ledger.lease_s / 4
        while not stopping.wait(every_s):
            try:
                self._leases.renew()
                self.take_up()
            except Exception as error:  # whatever happens, renew again: without leases others take up our jobs
                self._log.warning("leases not renewed", error=describe(error))

    def keep_tidy(self, stopping: threading.Event) -> None:
        """Free the shared memory of processes that died, and reload a renewed certificate."""
        while not stopping.is_set():
            try:
                self._room.tidy()
            except Exception as error:  # the next round tries again, and nothing depends on it meanwhile
                self._log.warning("shared memory not looked through", error=describe(error))
            self._renew_certificate()
            stopping.wait(_TIDIED_EVERY_S)

    def keep_audit(self, stopping: threading.Event) -> None:
        """Write who looked, and regularly log the trail's newest digest, where the ledger's owner cannot change it."""
        told, digest = 0.0, ""
        keep_days = self._settings.audit.keep_days
        while not stopping.wait(_AUDITED_EVERY_S):
            try:
                self._looks.write(self._ledger.audit.record)
                if time.monotonic() > told + _DIGEST_EVERY_S or not told:
                    seq, newest = self._ledger.audit.head()
                    told = time.monotonic()
                    if newest != digest:
                        self._log.info("audit trail", entries=seq, digest=newest)
                    digest = newest
                    if keep_days:
                        self._ledger.audit.prune(self._ledger.clock() - keep_days * DAY_S)
            except Exception as error:  # entries that wait are written once the ledger answers
                self._log.warning("audit trail not written", error=describe(error))

    def take_up(self) -> None:
        """Queue unfinished jobs again, and wake the workers."""
        left = self._leases.take_up()
        for job in left:
            self._log.warning("taking up a job that was left in the middle", job=job.id, study=job.study_uid)
        if left:
            self._handover.wake()

    def follow_clock(self) -> None:
        """Take over a correction of the machine's clock once nothing waits by it; called by intake."""
        now = time.monotonic()
        if now < self._clock_followed_at + _CLOCK_FOLLOWED_EVERY_S:
            return
        self._clock_followed_at = now
        counts = self._ledger.views.job_counts()
        if not any(counts[state] for state in OPEN):
            off_s = self._ledger.follow_clock()
            if off_s:
                self._log.warning("the clock was set", seconds=round(off_s, 1))

    def _renew_certificate(self) -> None:
        try:
            if self._certificate is not None and self._certificate.renew():
                self._log.info("certificate renewed")
        except SettingsError as error:  # the older one is used until the new one can be
            self._log.error("certificate not renewed", error=describe(error))
        if self._certificate is not None and self._certificate.expires is not None:
            self._metrics.certificate_expires.set(self._certificate.expires)
