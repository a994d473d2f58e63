# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The web application over a real ledger, for tests that ask it."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from httpx import Response
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless, SecondaryCaptureImageStorage, generate_uid
from starlette.testclient import TestClient

from appliance.errors import Refusal, RefusalCode
from appliance.health import Health
from appliance.intake.doorbell import Bell
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, FollowedStudy, Job, KnownSeries, NewJob, Origin, ResultObject
from appliance.metrics import Metrics
from appliance.orthanc_errors import NotThereError
from appliance.results.run_length import run_length_frame
from appliance.web.app import WebApp
from appliance.web.listener import Listener, listen
from appliance.web.looks import Looks
from tests.appliance.ledger.new_ledger import ledger_in

SERIES = "0a1b2c3d-0a1b2c3d-0a1b2c3d-0a1b2c3d-0a1b2c3d"
OTHER = "9f8e7d6c-0a1b2c3d-0a1b2c3d-0a1b2c3d-0a1b2c3d"
ANSWER: dict[str, Any] = {
    "present": True,
    "probability": 0.93,
    "threshold": 0.5,
    "extend_score": 0.5,
    "lesions": [
        {
            "type": "edh_sdh",
            "volume_ml": 31.25,
            "abc2_ml": None,
            "size_class": "large",
            "confidence": 0.93,
            "slices": 7,
        }
    ],
    "series": {"uid": "1.2.3.4", "description": "Head <5.0> soft & thin", "slices": 32},
    "model": {
        "name": "hemorrhage_detector",
        "version": "3",
        "sha256": "ab" * 32,
        "engine": "openvino-int8 (AVX2, 2 threads)",
    },
}

MODEL = ANSWER["model"]
KINDS = ("sr", "seg", "key-image-1", "key-image-2", "key-objects")
PART = {"partial": True, "slices_read": 12, "slices_there": 30, "extent_mm": 60.0, "missing": []}


def orthanc_id(number: int) -> str:
    """Return an identifier as Orthanc makes them."""
    return "-".join([f"{number:08x}", *["0a1b2c3d"] * 4])


def key_image(shade: int = 90) -> bytes:
    """Return a secondary capture as the appliance stores them: RGB in RLE Lossless."""
    picture = np.full((64, 96, 3), shade, np.uint8)
    picture[20:40, 30:60] = (255, 40, 40)
    capture = Dataset()
    capture.SOPClassUID, capture.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    capture.Rows, capture.Columns, capture.SamplesPerPixel = 64, 96, 3
    capture.PhotometricInterpretation, capture.PlanarConfiguration = "RGB", 0
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit, capture.PixelRepresentation = 7, 0
    capture.file_meta = FileMetaDataset()
    capture.file_meta.MediaStorageSOPClassUID = capture.SOPClassUID
    capture.file_meta.MediaStorageSOPInstanceUID = capture.SOPInstanceUID
    capture.file_meta.TransferSyntaxUID = RLELossless
    capture.PixelData = encapsulate([run_length_frame(picture)])
    capture["PixelData"].VR = "OB"
    written = io.BytesIO()
    capture.save_as(written, enforce_file_format=True)
    return written.getvalue()


KEY_IMAGE = key_image()


class Shelf:
    """What Orthanc says of studies and gives as files; `fault` is raised instead of any answer."""

    def __init__(self) -> None:
        self.held: dict[str, Any] = {}
        self.files: dict[str, bytes] = {}
        self.fault: Exception | None = None
        self.asked = 0
        self.hold = threading.Event()
        """Unless it is set, nothing is answered."""
        self.hold.set()

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        assert (method, path, body["Level"]) == ("POST", "/tools/bulk-content", "Study")
        self.asked += 1
        self.hold.wait(60)
        if self.fault is not None:
            raise self.fault
        return [self.held[name] for name in body["Resources"] if name in self.held]

    def file(self, identifier: str, limit: int | None = None) -> bytes:
        if self.fault is not None:
            raise self.fault
        if identifier not in self.files:
            raise NotThereError(f"Orthanc does not hold {identifier}")
        return self.files[identifier][:limit]


class Site:
    """The web application with a real ledger behind it."""

    def __init__(
        self,
        folder: Path,
        zone: tzinfo | None = UTC,
        clock: Callable[[], float] | None = None,
        ledger: Ledger | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self.file = folder / "ledger.sqlite"
        self.ledger = ledger or ledger_in(self.file, clock)
        self.bell = Bell()
        self.faults: dict[str, Exception] = {}
        self.health = Health({"orthanc": self._probe}, lambda _: None)
        self.health.ask()
        self.metrics = metrics or Metrics(
            self.ledger.views.job_counts, self.ledger.views.study_counts, opinions=self.ledger.opinions.counts
        )
        self.shelf = Shelf()
        self.ended: list[str] = []
        self.askers: list[str] = []
        self.looks = Looks()
        self.ahead_s: float | None = None
        self.stands_in = ""
        self.passed_over = ""
        self.client = TestClient(
            WebApp(
                self,
                self.bell,
                self.ledger,
                self.health,
                self.metrics,
                self.shelf,
                looks=self.looks,
                zone=zone,
                destinations=("pacs",),
            ).asgi,
            base_url="http://127.0.0.1:8044",
        )

    def model(self) -> dict[str, str]:
        why = {"stands_in": self.stands_in, "passed_over": self.passed_over}
        return dict(ANSWER["model"]) | {name: said for name, said in why.items() if said}

    def list_dead(self) -> list[str]:
        return self.ended

    def orthanc_ahead_s(self) -> float | None:
        return self.ahead_s

    def _probe(self) -> None:
        if "orthanc" in self.faults:
            raise self.faults["orthanc"]

    def analyze(self, _series: str, who: str) -> int:
        if "analyze" in self.faults:
            raise self.faults["analyze"]
        self.askers.append(who)
        return 17

    def study(self, name: str, at: float = 1_800_000_000.0) -> FollowedStudy:
        """Let a study come."""
        series = KnownSeries(f"{name}-series", name, Origin.SOURCE, 1)
        self.ledger.feed.notice([Arrival(name, f"1.2.{name}", at, at, True, (series,))])
        return next(study for study in self.ledger.studies.list_followed() if study.id == name)

    def answered(self, name: str, at: float = 1_800_000_000.0, **other: Any) -> Job:
        """Let a study come and be answered, with two key images; return its job."""
        job = self._claimed(name, at)
        results = [ResultObject(f"{name} {kind}", "series", kind, f"1.9.{kind}") for kind in KINDS]
        refusal = Refusal(RefusalCode.LOCALIZER, "a scout", "1.2.3.5")
        self.ledger.jobs.deliver(job, results, ANSWER | other, [refusal], "hash", "1.2.3.4")
        for result in results:
            if result.kind.startswith("key-image"):
                self.shelf.files[result.orthanc_instance] = KEY_IMAGE
        timing = {"quiet": 2000.0, "read": 41.0}
        self.ledger.jobs.finish(job, "1.88", f"1.9.{name}.{job.id}", timing, 2.75)
        return self.ledger.jobs.of_study(name)[-1]

    def refused(self, name: str, at: float = 1_800_000_000.0) -> Job:
        """Let a study come and be refused; return its job."""
        job = self._claimed(name, at)
        refusal = Refusal(RefusalCode.MISSING_SLICE, "between slices 4 and 5 lie 12 mm", "1.2.3.6")
        self.ledger.jobs.refuse(job, [refusal], {"read": 3.0})
        return self.ledger.jobs.of_study(name)[-1]

    def _claimed(self, name: str, at: float) -> Job:
        self.ledger.studies.decide(self.study(name, at), NewJob(f"{name} {at}", name))
        job = self.ledger.queue.claim("me", 60)
        assert job is not None
        return job

    def patient(self, name: str, **tags: str) -> None:
        """Let Orthanc know whose study this is."""
        patient = {"PatientName": "Muster^Max", "PatientID": "P1", "PatientBirthDate": "19570803", "PatientSex": "M"}
        study = {"AccessionNumber": "A1", "StudyDate": "20270115", "StudyDescription": "CT head"}
        told = {**patient, **study, **tags}
        self.shelf.held[name] = {
            "ID": name,
            "PatientMainDicomTags": {key: told[key] for key in told if key.startswith("Patient")},
            "MainDicomTags": {key: told[key] for key in told if not key.startswith("Patient")},
        }
        self.shelf.asked = 0

    def judge(self, job: Job, stance: str = "agrees", client: TestClient | None = None, **fields: str) -> Response:
        """Post an opinion as a page of ours does."""
        return (client or self.client).post(
            f"/studies/{job.orthanc_study}/answers/{job.id}/opinion",
            data={"stance": stance, **fields},
            headers={"Origin": str((client or self.client).base_url)},
            follow_redirects=False,
        )

    @contextmanager
    def served(self, port: int = 0) -> Iterator[str]:
        """Serve the application on a port of this machine, as the service does; yield its address."""
        sock = listen("127.0.0.1", port, "service")
        server = Listener(self.client.app, sock)
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        finally:
            server.stop()
            thread.join()
            sock.close()
