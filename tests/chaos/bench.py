# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance under test: real Orthanc, Triton and service under the supervisor, on a separate disk.

Only the detector is small (it answers from its input, in milliseconds); what is tried is all the rest. Between the
parts are links that can be cut off: from the service and the watch to Orthanc, to Triton and to PostgreSQL, and from
Orthanc's plugin to the service.
"""

from __future__ import annotations

import contextlib
import dataclasses
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from prometheus_client.parser import text_string_to_metric_families

from appliance.inference.regions import model_processes, region_prefix
from appliance.ledger.states import OPEN, StudyState
from appliance.sections.supervisor import SupervisorSettings
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from deploy.local import records
from deploy.local.answering import not_ready, questions
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from deploy.local.service import ServiceProcess
from deploy.local.settings_file import write_settings
from deploy.local.supervised import SupervisedAppliance, stop_s
from deploy.local.supervisor import Control, Program
from deploy.local.unprivileged import User
from deploy.local.watch import Seen, read_seen
from tests.appliance.inference.blob_detector import write_repository
from tests.appliance.ledger.postgres import PostgresServer
from tests.chaos import serve_by_clock
from tests.chaos.links import Link

_FOLLOWED: Final = (StudyState.RECEIVING, StudyState.INCOMPLETE)
STARTING_S: Final = 600.0
"""How patient the watch is with a server that starts, and people are with all of them: others use this machine too."""


class _LinkedAppliance(SupervisedAppliance):
    """The appliance whose parts reach each other by links only; Triton's own ports stay its own."""

    def __init__(self, settings: Settings, by_links: Settings, clock: Path, doorbell: bool) -> None:
        self._by_links = by_links
        self._doorbell = doorbell
        self._clock = clock
        super().__init__(settings)

    def _programs(self) -> list[Program]:
        # What `complete` added, a password among it, holds on both sides of a link.
        linked = {
            "orthanc": self.settings.orthanc.model_copy(update={"url": self._by_links.orthanc.url}),
            "triton": self.settings.triton.model_copy(update={"grpc_port": self._by_links.triton.grpc_port}),
            "ledger": self._by_links.ledger,
        }
        rung = self.settings.service.model_copy(update={"port": self._by_links.service.port})
        self._service = ServiceProcess(self.settings.model_copy(update=linked), self.state_dir / "service")
        self._orthanc = OrthancProcess(
            self.settings.model_copy(update={"service": rung}), self.state_dir / "orthanc", doorbell=self._doorbell
        )
        return [self._changed(program) for program in super()._programs()]

    def _changed(self, program: Program) -> Program:
        if program.name == "triton":
            return dataclasses.replace(program, command=[*program.command[:-1], str(self._triton_file)])
        if program.name == "service":
            command = [serve_by_clock.__name__ if word == "appliance" else word for word in program.command]
            environment = {**program.environment, serve_by_clock.CLOCK: str(self._clock)}
            return dataclasses.replace(program, command=command, environment=environment)
        return program

    @property
    def _triton_file(self) -> Path:
        return self.state_dir / "triton" / "appliance.toml"

    def start(self, user: User | None = None) -> int:
        write_settings(self._service.settings.model_copy(update={"triton": self.settings.triton}), self._triton_file)
        return super().start(user)


class Bench:
    """The appliance, with a view of it from outside. Call `up` and `down` once each.

    Without `doorbell` Orthanc has no plugin, and the service finds studies by asking alone.
    """

    def __init__(self, folder: Path, disk_mib: int, *, on_postgres: bool = False, doorbell: bool = True) -> None:
        self._opened = ExitStack()
        self._last_waiting = 0
        self.disk = folder / "disk"
        self.disk.mkdir(parents=True)
        self.is_mounted = disk_mib > 0 and _mount(self.disk, disk_mib)
        self.clock = folder / "clock"
        self.set_clock(0)
        write_repository(folder / "models")
        settings = Settings(
            triton=TritonSettings(model_repository=folder / "models"),
            supervisor=SupervisorSettings(patience_s=5, starting_s=STARTING_S, user=""),
        )
        settings = with_free_ports(settings, self.disk / "state")
        # Headers that are kept fill the memory until there are so many: here they are in the first studies.
        intake = settings.intake.model_copy(
            update={"incomplete_s": 6.0, "ends_s": 6.0, "retry_longest_s": 5.0, "headers_kept": 200}
        )
        ledger = settings.ledger.model_copy(update={"busy_s": 1.0, "lease_s": 10.0})
        settings = settings.model_copy(update={"intake": intake, "ledger": ledger})
        self.links: dict[str, Link] = {}
        orthanc = self._linked("orthanc", urlsplit(settings.orthanc.url).port or 0)
        triton = self._linked("triton", settings.triton.grpc_port)
        plugin = self._linked("plugin", settings.service.port)
        self.postgres: PostgresServer | None = None
        if on_postgres:
            self.postgres = PostgresServer()
            self._opened.callback(self.postgres.remove)
            port = urlsplit(self.postgres.url).port or 0
            url = self.postgres.url.replace(f":{port}/", f":{self._linked('ledger', port)}/")
            ledger = ledger.model_copy(update={"url": url})
        by_links = settings.model_copy(
            update={
                "orthanc": settings.orthanc.model_copy(update={"url": f"http://127.0.0.1:{orthanc}"}),
                "triton": settings.triton.model_copy(update={"grpc_port": triton}),
                "service": settings.service.model_copy(update={"port": plugin}),
                "ledger": ledger,
            }
        )
        self._local = _LinkedAppliance(settings, by_links, self.clock, doorbell)
        self.settings = self._local.settings
        self.control = Control(self._local.folder / "control.sock")
        self.ledger_file = self.settings.state_dir / "ledger.sqlite"
        user = (self.settings.orthanc.username, self.settings.orthanc.password)
        self.orthanc = httpx.Client(base_url=self.settings.orthanc.url, auth=user, timeout=30, trust_env=False)
        self.service = httpx.Client(
            base_url=f"http://127.0.0.1:{self.settings.service.port}", timeout=30, trust_env=False
        )

    def _linked(self, name: str, port: int) -> int:
        """Put a link before a port of this machine and return the port of the link."""
        self.links[name] = self._opened.enter_context(Link(port))
        return self.links[name].port

    def set_clock(self, ahead_s: float) -> None:
        """Move the clock of the service."""
        aside = self.clock.with_suffix(".new")
        aside.write_text(f"{ahead_s}\n")
        aside.replace(self.clock)

    def up(self) -> None:
        if self.postgres is not None:
            self.postgres.start()
        pid = self._local.start()
        log = self._local.supervisor.log
        records.write([records.record_of("supervisor", pid, "", log)], self.settings.state_dir)
        self._local.await_ready(STARTING_S, lambda *_: None)

    def down(self) -> None:
        for record in records.read(self.settings.state_dir):
            records.end(record, stop_s(self.settings))
        if self.postgres is not None:
            self.postgres.stop()
        self.orthanc.close()
        self.service.close()
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", self.disk], check=True)
        self._opened.close()

    def pid(self, server: str) -> int:
        """The process id of `orthanc`, `service`, `watch` or `triton` (the server, not its keeper); 0 without one."""
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
        settings = self.settings
        return not any(ask() for ask in questions(settings).values()) and not not_ready(settings)

    def status(self, study: str = "") -> dict[str, Any]:
        """What the service says about itself and the newest studies, or about one study by Orthanc's identifier."""
        asked = {"study": study} if study else {"limit": "1000"}
        document: dict[str, Any] = self.service.get("/status", params=asked).raise_for_status().json()
        return document

    def study(self, uid: str) -> str:
        """Return Orthanc's identifier of a study; empty when it holds none."""
        found = self.orthanc.post("/tools/lookup", content=uid).raise_for_status().json()
        return next((str(entry["ID"]) for entry in found if entry["Type"] == "Study"), "")

    def burden(self) -> dict[str, dict[str, int]]:
        """The memory (MiB) and the descriptors of each server; leaves out a server that is just starting."""
        found = {}
        for server in ("orthanc", "triton", "service"):
            process = Path(f"/proc/{self.pid(server)}")
            with contextlib.suppress(OSError, ValueError, IndexError):
                pages = int((process / "statm").read_text().split()[1])
                descriptors = len(list((process / "fd").iterdir()))
                found[server] = {"memory_mib": round(pages * 4096 / 2**20), "descriptors": descriptors}
        return found

    def has_settled(self) -> bool:
        """Whether all is well, no study is received and no job is on its way."""
        return self.is_idle() and self.is_well()

    def is_idle(self) -> bool:
        """Whether the service answers, receives no study and has no job on its way."""
        return self._count_waiting() == 0

    def waiting(self) -> int:
        """How many studies are received or on their way to their answer; while the service does not say, what it said.

        A service that is killed again and again would otherwise get studies for as long as it does not answer.
        """
        told = self._count_waiting()
        if told is not None:
            self._last_waiting = told
        return self._last_waiting

    def _count_waiting(self) -> int | None:
        """As `waiting`, None while the service does not say. Asked of its metrics, which do not grow with studies."""
        counted = {"hemorrhage_studies": _FOLLOWED, "hemorrhage_jobs": OPEN}
        try:
            told = self.service.get("/metrics").raise_for_status().text
        except httpx.HTTPError:
            return None
        samples = [sample for family in text_string_to_metric_families(told) for sample in family.samples]
        if not any(sample.name == "hemorrhage_studies" for sample in samples):  # the ledger does not answer
            return None
        return sum(int(one.value) for one in samples if one.labels.get("state") in counted.get(one.name, ()))


def _mount(folder: Path, mib: int) -> bool:
    """Mount a disk of a fixed size; return whether this user may."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
