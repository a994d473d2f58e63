# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Intake on a real Orthanc and a real ledger, turned by hand, with a clock that can be put forward."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from pathlib import Path

import httpx

from appliance.ahead import ReadingAhead, ReadsStudies
from appliance.intake.doorbell import Bell
from appliance.intake.files import Files
from appliance.intake.handover import Handover
from appliance.intake.headers import Headers
from appliance.intake.intake import Intake
from appliance.intake.snapshot import Snapshots
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Job
from appliance.metrics import Metrics
from appliance.orthanc import Orthanc
from appliance.settings import Settings
from tests.appliance.ledger.new_ledger import ledger_in


class Clock:
    """A clock that stands, from when it was made, until a test puts it forward: a busy machine changes no test."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def empty(settings: Settings) -> None:
    """Delete every study in Orthanc: an intake that starts looks at each series there, also those of other tests."""
    with closing(Orthanc(settings.orthanc)) as orthanc:
        if studies := orthanc.ask("GET", "/studies"):
            orthanc.ask("POST", "/tools/bulk-delete", {"Resources": studies})


class Desk:
    """An intake with what is around it; `ledger` is its file, or the URL of a PostgreSQL server."""

    def __init__(self, settings: Settings, ledger: Path | str) -> None:
        self.settings = settings
        self.clock = Clock()
        self.orthanc = Orthanc(settings.orthanc)
        self.ledger = ledger_in(ledger, self.clock) if isinstance(ledger, Path) else Ledger(ledger, self.clock)
        self.bell = Bell(self.clock)
        self.handover = Handover()
        self.files = Files(self.orthanc, settings.intake.files_kept_mib * 2**20)
        self.headers = Headers(self.files, settings.intake.headers_kept)
        self.snapshots = Snapshots(self.orthanc, self.files, self.headers, self.ledger, settings.intake.largest_series)
        views, outbox = self.ledger.views, self.ledger.outbox
        self.metrics = Metrics(
            views.job_counts,
            views.study_counts,
            backlogs=outbox.backlogs,
            clock=self.clock,
            oldest_unrouted_s=outbox.oldest_unrouted_s,
        )
        # No thread runs it here: what is offered is read by a test that asks for it.
        self.reader: ReadsStudies | None = None
        self.ahead = ReadingAhead(
            self.read_with,
            self.snapshots.file,
            self.ledger.models.last_move,
            self.metrics,
            settings.intake.ahead_mib,
        )
        self.start_again("desk/1")

    def start_again(self, owner: str) -> None:
        """Let the next life of the service begin, as `owner`: what was in the memory of intake is gone."""
        settings = self.settings
        self.headers = Headers(self.files, settings.intake.headers_kept)
        self.snapshots = Snapshots(self.orthanc, self.files, self.headers, self.ledger, settings.intake.largest_series)
        self.intake = Intake(
            settings,
            self.orthanc,
            self.ledger,
            self.headers,
            self.snapshots,
            self.bell,
            self.handover,
            self.ahead,
            self.metrics,
            owner,
            self.clock,
        )

    def read_with(self) -> ReadsStudies:
        assert self.reader is not None
        return self.reader

    def read_ahead(self) -> None:
        """Read what was offered, as the service's thread does."""
        stopping = threading.Event()
        thread = threading.Thread(target=self.ahead.run, args=(stopping,))
        thread.start()
        while self.ahead.is_busy:
            assert thread.is_alive()
            time.sleep(0.01)
        stopping.set()
        self.ahead.wake()
        thread.join()

    def close(self) -> None:
        self.orthanc.close()
        self.ledger.close()

    def send(self, *files: bytes) -> list[str]:
        """Store files in Orthanc and return its identifiers of the instances."""
        return [self.orthanc.store(file)[0] for file in files]

    def take_in(self) -> float:
        """Turn until there is nothing to do now; return for how long."""
        while (pause_s := self.intake.turn()) == 0:
            pass
        return pause_s

    def wait(self, seconds: float) -> None:
        """Let time go by, and intake see what is due then."""
        self.take_in()
        self.clock.now += seconds
        self.take_in()

    def quiet(self) -> None:
        """Let the quiet time pass; a second more, as without the plugin's stamps times are whole seconds."""
        self.wait(self.settings.intake.quiet_s + 1)

    def quiet_after_a_pause(self) -> None:
        """Let the quiet time pass of a sender that has made a long pause: the longest there is."""
        self.wait(self.settings.intake.quiet_longest_s + 1)

    def jobs(self, study_uid: str) -> list[Job]:
        """Return the jobs of a study."""
        statuses = self.ledger.views.newest_studies(1000)
        return [job for status in statuses if status.study.uid == study_uid for job in status.jobs]

    def delete_study(self, study: str) -> None:
        """Delete a study in Orthanc, as somebody else would."""
        httpx.delete(f"{self.settings.orthanc.url}/studies/{study}", trust_env=False, timeout=60).raise_for_status()

    def study_of(self, instance: str) -> str:
        """Return Orthanc's identifier of the study of an instance."""
        return self.orthanc.series(self.orthanc.series_of_instance(instance)).study
