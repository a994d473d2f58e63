# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One invented patient, scanned again and again; each scan is answered by a worker worked by hand."""

from __future__ import annotations

from typing import Any

from pydicom.uid import generate_uid

from appliance.ledger.records import Job
from appliance.reading.detections import Box
from tests.appliance.bench import Bench
from tests.appliance.stand_in import head_series

SMALL, LARGE = Box(200, 200, 240, 240), Box(200, 200, 280, 280)


class Patient:
    """A patient with an ID of its own."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.id = f"P{str(generate_uid())[-12:]}"

    def files(self, day: str, hour: str = "080000", study: str = "", **attributes: Any) -> list[bytes]:
        """Return the files of a head that was scanned then."""
        times = {"AcquisitionDate": day, "AcquisitionTime": hour, "StudyDate": day, "StudyTime": hour}
        who = {"PatientID": self.id, "PatientBirthDate": "19550302", "PatientSex": "F"}
        return head_series(study or str(generate_uid()), **(times | who | attributes))

    def scan(self, day: str, hour: str = "080000", box: Box | None = SMALL, **attributes: Any) -> Job:
        """Send a head that was scanned then and bleeds in `box`, let it be answered, and return its job."""
        study = str(generate_uid())
        self.bench.detector.box = box
        self.bench.send(*self.files(day, hour, study, **attributes))
        self.bench.worker.work()
        return self.bench.job(study)
