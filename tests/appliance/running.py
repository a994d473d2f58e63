# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service as a process over the stand-in room, for tests that kill, hold and start it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from appliance.orthanc import Orthanc
from appliance.settings import Settings
from appliance.transport import tls_for
from deploy.local.orthanc import ROOT

PATIENCE_S = 240


class Running:
    """A service over the stand-in room that can be killed and started again; `more` is further TOML of its settings."""

    def __init__(self, settings: Settings, folder: Path, more: str = "") -> None:
        self.settings = settings
        self.hold = folder / "hold"
        self._file = folder / "appliance.toml"
        self._file.write_text(
            f"state_dir = '{settings.state_dir}'\n"
            f"[orthanc]\nurl = '{settings.orthanc.url}'\n"
            f"[service]\nport = {settings.service.port}\n"
            # Nothing is read ahead: these tests hold and kill the service in the middle of a job.
            f"[intake]\nretry_first_s = 0.2\nahead_mib = 0\n{more}"
        )
        self._log = folder / "service.log"
        self.url = f"http://127.0.0.1:{settings.service.port}"
        self.process: subprocess.Popen[bytes] | None = None
        self.orthanc = Orthanc(settings.orthanc)

    def start(self) -> None:
        """Start it unless it runs, and return when it is ready."""
        if self.process is not None and self.process.poll() is None:
            return
        self.launch()
        until(lambda: self.get("/health/ready").get("ready", False), "ready")

    def launch(self) -> None:
        """Start it without waiting for it."""
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.appliance.serve_stand_in", self._file, self.hold],
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def get(self, path: str) -> dict[str, Any]:
        try:
            answer = httpx.get(self.url + path, timeout=10, verify=tls_for(self.url), trust_env=False)
        except httpx.TransportError:
            return {}
        told: dict[str, Any] = answer.json()
        return told

    def study(self, uid: str) -> dict[str, Any]:
        studies = self.get("/status").get("studies", [])
        nothing = {"state": "not seen", "jobs": [], "tries": 0}
        return next((study for study in studies if study["study_uid"] == uid), nothing)

    def until_state(self, uid: str, state: str) -> dict[str, Any]:
        """Return what the service says of a study once that is in a state, which it may leave soon after."""
        seen: dict[str, Any] = {}

        def is_there() -> bool:
            seen.clear()
            seen.update(self.study(uid))
            return bool(seen["state"] == state)

        until(is_there, state)
        return seen

    def lines(self) -> list[dict[str, Any]]:
        whole, _, _ = self._log.read_text().rpartition("\n")  # the last line may still be written
        return [json.loads(line) for line in whole.splitlines()]


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, f"not {what} after {PATIENCE_S} s"
        time.sleep(0.1)
