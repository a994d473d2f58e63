# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A worker, worked by hand, behind an intake turned by hand: all real but the network."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from prometheus_client import generate_latest
from pydicom import Dataset, dcmread

from appliance.delivery.deliver import Delivery
from appliance.leases import Leases
from appliance.ledger.records import Job, NewJob
from appliance.metrics import Metrics
from appliance.prior.lookup import PriorLookup
from appliance.prior.search import PriorSearch
from appliance.reading_room import ReadingRoom
from appliance.settings import Settings
from appliance.transport import tls_for
from appliance.worker import TriesApart, Worker
from tests.appliance.intake.desk import Desk, empty
from tests.appliance.stand_in import StandInDetector, StandInRoom


class StandInTrial:
    """A trial in this process: `faults` are what the next ones end with."""

    def __init__(self) -> None:
        self.faults: list[Exception] = []
        self.tried: list[int] = []

    def run(self, study_uid: str, instances: Sequence[str], left_out: Sequence[str] = ()) -> None:
        self.tried.append(len(instances))
        if self.faults:
            raise self.faults.pop(0)


def worker_at(desk: Desk, leases: Leases, room: ReadingRoom, trial: TriesApart) -> Worker:
    """Return a worker behind the intake of a desk that reads in `room`."""
    return Worker(
        leases,
        desk.settings,
        desk.ledger,
        desk.snapshots,
        desk.handover,
        desk.ahead,
        room.pipeline,
        trial,
        # What is tried here is what is found, not how fast: a busy machine may take its time.
        PriorLookup(PriorSearch(desk.orthanc, desk.ledger), desk.ledger, patience_s=600),
        Delivery(leases, desk.settings, desk.orthanc, desk.ledger, desk.snapshots, desk.metrics, desk.clock),
        desk.metrics,
        desk.clock,
    )


class Bench:
    """A worker, worked by hand, behind an intake turned by hand."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.detector = StandInDetector()
        self.room = StandInRoom(desk.settings, self.detector)
        self.metrics = desk.metrics
        desk.reader = self.room.pipeline()
        self.trial = StandInTrial()
        self.worker = self.another("worker")

    def another(self, owner: str) -> Worker:
        desk = self.desk
        self.leases = Leases(desk.ledger, owner, desk.settings.ledger.lease_s, desk.settings.ledger.stall_s)
        return worker_at(desk, self.leases, self.room, self.trial)

    def send(self, *files: bytes) -> list[str]:
        """Send a study and let it be decided."""
        ids = self.desk.send(*files)
        self.desk.quiet()
        return ids

    def ask(self, study: str, instance: str) -> Job:
        """Ask for the answer about the series of an instance, as a person does, and have it answered."""
        series = self.desk.orthanc.series_of_instance(instance)
        self.desk.ledger.queue.request(self.desk.study_of(instance), study, NewJob("", "", series=series))
        self.worker.work()
        return self.job(study)

    def job(self, study: str) -> Job:
        """Return the newest job of a study."""
        return self.desk.jobs(study)[-1]

    def held(self, study: str) -> list[Dataset]:
        """Return the headers of everything that Orthanc holds of a study and that is no CT, by series number."""
        ids = self._get("POST", "/tools/lookup", content=study)
        found = []
        for item in ids:
            for instance in self._get("GET", f"/studies/{item['ID']}/instances"):
                found.append(dcmread(io.BytesIO(self.desk.orthanc.file(instance["ID"])), stop_before_pixels=True))
        return sorted((one for one in found if one.Modality not in ("CT", "MR")), key=lambda one: int(one.SeriesNumber))

    def named_by(self, job: Job) -> str:
        """Return the SOP Instance UID of the report that a job's report names as the one it replaces."""
        (report,) = [one for one in self.held(job.study_uid) if one.SOPInstanceUID == job.sr_uid]
        named = report.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
        return str(named.ReferencedSOPInstanceUID)

    def kinds(self, study: str) -> set[str]:
        return {str(one.Modality) for one in self.held(study)}

    def _get(self, method: str, path: str, **body: Any) -> Any:
        url = self.desk.settings.orthanc.url + path
        return httpx.request(method, url, verify=tls_for(url), trust_env=False, timeout=60, **body).json()


def exposition(metrics: Metrics) -> str:
    """Return the metrics as Prometheus reads them."""
    return generate_latest(metrics.registry).decode()


@contextmanager
def bench_on(settings: Settings, folder: Path) -> Iterator[Bench]:
    """Yield a bench on the Orthanc of `settings`, which is emptied, with a new ledger in `folder`."""
    empty(settings)
    desk = Desk(settings, folder / "ledger.sqlite")
    desk.take_in()
    try:
        yield Bench(desk)
    finally:
        desk.close()
