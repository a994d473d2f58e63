# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A real Prometheus and a real Alertmanager with the shipped files beside an appliance, and somebody on call."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import httpx

from appliance.process import Process
from appliance.settings import Settings
from deploy.local.ports import free_ports

SHIPPED: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
_FILES: Final = ("prometheus.yml", "alertmanager.yml", "rules/hemorrhage.rules.yml")


class OnCall(ThreadingHTTPServer):
    """Takes what Alertmanager sends, as whoever is on call; `notes` holds when, to whom, and what."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.notes: list[tuple[float, str, dict[str, Any]]] = []

    def states(self, alert: str, path: str) -> list[str]:
        """Return the states of an alert as they were told to one receiver, in their order."""
        return [state for _, state in self.told(alert, path)]

    def told(self, alert: str, path: str) -> list[tuple[float, str]]:
        """Return when (Unix seconds) which state of an alert was told to one receiver, in their order."""
        return [
            (at, one["status"])
            for at, where, note in list(self.notes)
            for one in note["alerts"]
            if one["labels"]["alertname"] == alert and where == path
        ]


class _Handler(BaseHTTPRequestHandler):
    server: OnCall

    def do_POST(self) -> None:
        note = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.notes.append((time.time(), self.path, note))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Watching:
    """What watches an appliance: the address of Prometheus, and whoever is on call."""

    prometheus: str
    on_call: OnCall

    def query(self, path: str, **words: str | float) -> Any:
        """Return what Prometheus answers."""
        answer = httpx.get(f"{self.prometheus}/api/v1/{path}", params=words, timeout=20, trust_env=False)
        return answer.raise_for_status().json()["data"]


@contextmanager
def watch(settings: Settings, folder: Path, adapt: Callable[[str], str]) -> Iterator[Watching]:
    """Run both beside an appliance; `adapt` changes the text of each shipped file, whose ports become those of here."""
    prometheus, alertmanager, receiver = free_ports(3)
    ports = {
        8043: httpx.URL(settings.orthanc.url).port or 0,
        8044: settings.service.port,
        8402: settings.triton.metrics_port,
        9093: alertmanager,
        9099: receiver,
    }
    there = folder / "prometheus"
    shutil.copytree(SHIPPED, there)
    for name in _FILES:
        text = (there / name).read_text()
        for shipped, here in ports.items():
            text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{here}")
        (there / name).write_text(adapt(text))
    (there / "hemorrhage-orthanc.password").write_text(f"{settings.orthanc.password}\n")
    on_call = OnCall(receiver)
    threading.Thread(target=on_call.serve_forever, daemon=True).start()
    commands = {
        "prometheus": [
            "--config.file=prometheus.yml",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{prometheus}",
        ],
        "prometheus-alertmanager": [
            "--config.file=alertmanager.yml",
            f"--storage.path={folder / 'alerts'}",
            f"--web.listen-address=127.0.0.1:{alertmanager}",
            "--cluster.listen-address=",
        ],
    }
    programs = {name: Process(name, folder / f"{name}.log", die_with_parent=True) for name in commands}
    try:
        for name, program in programs.items():
            program.launch([name, *commands[name]], os.environ, there)
        yield Watching(f"http://127.0.0.1:{prometheus}", on_call)
    finally:
        for program in programs.values():
            program.stop()
        on_call.shutdown()
        on_call.server_close()
