# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The running appliance from outside: a scanner that sends, an Orthanc that is looked into, a service that is asked.

Everything here polls; nothing sleeps for a fixed time and nothing looks inside a process.
"""

from __future__ import annotations

import io
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pydicom
from prometheus_client.parser import text_string_to_metric_families
from pydicom import Dataset

from appliance.ledger.states import OPEN
from deploy.local.appliance import LocalAppliance
from deploy.local.storescu import send
from tests.end_to_end.stored import Stored

PATIENCE_S = 480
NOT_SEEN: dict[str, Any] = {"state": "not seen", "jobs": [], "refusals": []}


def until(holds: Callable[[], bool], what: Callable[[], object]) -> None:
    """Return when `holds`; fail with what is there instead when it does not in a long time."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"after {PATIENCE_S} s: {what()}"
        time.sleep(0.1)


class Running:
    """A local appliance, and the few things that people do with one."""

    def __init__(self, local: LocalAppliance) -> None:
        self.local = local
        self.settings = local.settings
        self.service = httpx.Client(base_url=local.service.url, timeout=30, trust_env=False)
        self.orthanc = local.orthanc.client()

    @property
    def settings_file(self) -> Path:
        """The settings file that the service was started with."""
        return self.local.service.settings_file

    def send(self, files: Iterable[Path]) -> None:
        """Send files by C-STORE."""
        send(files, self.settings.orthanc)

    def status(self, limit: int = 1000) -> dict[str, Any]:
        """Return the service's status document, with every study unless told otherwise."""
        document: dict[str, Any] = self.service.get("/status", params={"limit": limit}).raise_for_status().json()
        return document

    def study(self, uid: str) -> dict[str, Any]:
        """Return the service's record of a study; the newest are asked for first, as all of them keep it busy."""
        found = (study for limit in (5, 1000) for study in self.status(limit)["studies"] if study["study_uid"] == uid)
        return next(found, NOT_SEEN)

    def until_state(self, uid: str, *states: str) -> dict[str, Any]:
        """Return the service's record of a study once it is in one of `states`."""
        seen: dict[str, Any] = {}  # what is looked at twice may have gone on to another state

        def is_there() -> bool:
            seen.clear()
            seen.update(self.study(uid))
            return seen["state"] in states

        until(is_there, lambda: (states, seen))
        return seen

    def answered(self, uid: str) -> dict[str, Any]:
        """Return the service's record of a study once its newest answer is given."""
        return self.until_state(uid, "done")

    def metrics(self) -> dict[str, float]:
        """Return the samples of the service's metrics by name, a label's value behind it in brackets."""
        text = self.service.get("/metrics").raise_for_status().text
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {
            sample.name
            + "".join(f"[{value}]" for name, value in sorted(sample.labels.items()) if name != "le"): sample.value
            for sample in samples
            if "le" not in sample.labels
        }

    def log(self) -> str:
        """Return what the service has written to its log since it was started."""
        return self.local.service.log.read_text()

    def orthanc_study(self, uid: str) -> str | None:
        """Return Orthanc's identifier of a study, None when Orthanc does not hold it."""
        found = self.orthanc.post("/tools/lookup", content=uid).raise_for_status().json()
        return next((entry["ID"] for entry in found if entry["Type"] == "Study"), None)

    def modalities(self, uid: str) -> list[str]:
        """Return the modality of each series that Orthanc holds of a study."""
        study = self.orthanc_study(uid)
        if study is None:
            return []
        series = self.orthanc.get(f"/studies/{study}/series").raise_for_status().json()
        return sorted(one["MainDicomTags"]["Modality"] for one in series)

    def stored(self, uid: str) -> Stored:
        """Return everything that Orthanc holds of a study but the images it came with."""
        study = self.orthanc_study(uid)
        assert study is not None, f"Orthanc does not hold study {uid}"
        series = self.orthanc.get(f"/studies/{study}/series").raise_for_status().json()
        results = [one for one in series if one["MainDicomTags"]["Modality"] in Stored.MODALITIES]
        return Stored([self.instance(ref) for one in results for ref in one["Instances"]])

    def instance(self, ref: str) -> Dataset:
        """Return an instance that Orthanc holds."""
        content = self.orthanc.get(f"/instances/{ref}/file").raise_for_status().content
        return pydicom.dcmread(io.BytesIO(content))

    @contextmanager
    def frozen_triton(self) -> Iterator[None]:
        """Freeze Triton: a study that reaches the network stays in it until this ends.

        No other study is on its way then, as one that is would be frozen in the network and keep the next one out.
        """
        until(lambda: not any(self.status()["jobs"].get(state) for state in OPEN), lambda: self.status()["jobs"])
        pid = self.local.triton.pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def restore(self) -> None:
        """Start what does not run, and return when the service is ready."""
        if self.local.orthanc.pid is None:
            self.local.orthanc.start()
        self.local.triton.start()
        if self.local.service.pid is None:
            self.local.service.launch()
        self.local.service.wait()
