# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The web application over a real ledger, for tests that ask it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from appliance.errors import Refusal, RefusalCode
from appliance.health import Health
from appliance.intake.doorbell import Bell
from appliance.ledger.ledger import Ledger
from appliance.ledger.records import Arrival, FollowedStudy, KnownSeries, NewJob, Origin, ResultObject
from appliance.metrics import Metrics
from appliance.web.app import WebApp
from appliance.web.looks import Looks

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
PART = {"partial": True, "slices_read": 12, "slices_there": 30, "extent_mm": 60.0, "missing": []}


class Site:
    """The web application with a real ledger behind it."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(f"sqlite:///{folder / 'ledger.sqlite'}")
        self.bell = Bell()
        self.faults: dict[str, Exception] = {}
        self.health = Health({"orthanc": self._probe}, lambda _: None)
        self.health.ask()
        self.metrics = Metrics(self.ledger.views.job_counts, self.ledger.views.study_counts)
        self.ended: list[str] = []
        self.askers: list[str] = []
        self.looks = Looks()
        self.ahead_s: float | None = None
        self.client = TestClient(
            WebApp(self, self.bell, self.ledger, self.health, self.metrics, looks=self.looks).asgi,
            base_url="http://127.0.0.1:8044",
        )

    def model(self) -> dict[str, str]:
        return dict(ANSWER["model"])

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

    def answered(self, name: str, at: float = 1_800_000_000.0, **other: Any) -> None:
        """Let a study come and be answered."""
        self.ledger.studies.decide(self.study(name, at), NewJob(name, name))
        job = self.ledger.queue.claim("me", 60)
        assert job is not None
        result = ResultObject("instance", "series", "sr", "1.9")
        refusal = Refusal(RefusalCode.LOCALIZER, "a scout", "1.2.3.5")
        self.ledger.jobs.deliver(job, [result], ANSWER | other, [refusal], "hash", "1.2.3.4")
        self.ledger.jobs.finish(job, "1.88", f"1.9.{name}", {"quiet": 2000.0, "read": 41.0}, 2.75)
