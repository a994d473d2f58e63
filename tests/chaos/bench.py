# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance that chaos is made in: real Orthanc, Triton and service under the supervisor, on a disk of its own.

Only the network is small (it answers from its input, in milliseconds); what is tried is all the rest.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from appliance.inference.regions import model_processes, region_prefix
from appliance.ledger.states import OPEN
from appliance.settings import Settings, SupervisorSettings, TritonSettings
from appliance.settings_sources import load_settings
from deploy.local import records
from deploy.local.answering import not_ready, questions
from deploy.local.ports import with_free_ports
from deploy.local.supervised import SupervisedAppliance, stop_s
from deploy.local.supervisor import Control
from deploy.local.watch import Seen, read_seen
from tests.appliance.inference.blob_detector import write_repository

STARTING_S = 180.0


class Bench:
    """The appliance, and who looks at it from outside; `up` and `down` once each."""

    def __init__(self, folder: Path, disk_mib: int, ledger_url: str = "") -> None:
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True)
        self.is_mounted = disk_mib > 0 and _mount(self.disk, disk_mib)
        write_repository(folder / "models")
        settings = Settings(
            triton=TritonSettings(model_repository=folder / "models"),
            supervisor=SupervisorSettings(patience_s=5, starting_s=STARTING_S, user=""),
        )
        settings = with_free_ports(settings, self.disk / "state")
        intake = settings.intake.model_copy(update={"incomplete_s": 6.0, "ends_s": 6.0, "retry_longest_s": 5.0})
        ledger = settings.ledger.model_copy(update={"url": ledger_url, "busy_s": 1.0, "lease_s": 10.0})
        self._local = SupervisedAppliance(settings.model_copy(update={"intake": intake, "ledger": ledger}))
        self.settings = self._local.settings
        self.control = Control(self._local.folder / "control.sock")
        self.ledger_file = self.settings.state_dir / "ledger.sqlite"
        user = (self.settings.orthanc.username, self.settings.orthanc.password)
        self.orthanc = httpx.Client(base_url=self.settings.orthanc.url, auth=user, timeout=30, trust_env=False)
        self.service = httpx.Client(
            base_url=f"http://127.0.0.1:{self.settings.service.port}", timeout=30, trust_env=False
        )

    def up(self) -> None:
        pid = self._local.start()
        log = self._local.supervisor.log
        records.write([records.record_of("supervisor", pid, "", log)], self.settings.state_dir)
        self._local.await_ready(STARTING_S, lambda *_: None)

    def down(self) -> None:
        for record in records.read(self.settings.state_dir):
            records.end(record, stop_s(self.settings))
        self.orthanc.close()
        self.service.close()
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", self.disk], check=True)

    def pid(self, server: str) -> int:
        """The process id of `orthanc`, `service`, `watch`, or `triton`, which is the server below its keeper; or 0."""
        pid = self.control.programs()[server].pid
        if server != "triton" or not pid:
            return pid
        try:
            below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        except OSError:
            return 0
        return int(below[0]) if below else 0

    def model_processes(self) -> list[int]:
        return [pid for pid, _ in model_processes(region_prefix(self.settings.triton))]

    def seen(self) -> dict[str, Seen]:
        """What the watch has seen."""
        return read_seen(self._local.seen)

    def is_well(self) -> bool:
        settings = load_settings(self.settings.state_dir / "service" / "appliance.toml")
        return not any(ask() for ask in questions(settings).values()) and not not_ready(settings)

    def status(self) -> dict[str, Any]:
        document: dict[str, Any] = self.service.get("/status", params={"limit": 1000}).raise_for_status().json()
        return document

    def has_settled(self) -> bool:
        """Whether all is well, no study is received and no job is on its way."""
        try:
            told = self.status()
        except httpx.HTTPError:
            return False
        waits = any(study["state"] in ("receiving", "incomplete") for study in told["studies"])
        return not waits and not any(told["jobs"].get(state) for state in OPEN) and self.is_well()

    def wait_until(self, holds: Callable[[], bool], patience_s: float) -> bool:
        """Wait until something holds; return whether it did in time."""
        end = time.monotonic() + patience_s
        while not holds():
            if time.monotonic() > end:
                return False
            time.sleep(0.25)
        return True


def _mount(folder: Path, mib: int) -> bool:
    """Mount a disk of its own size; return whether this user may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
