# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance's service as a process of its own, as `appliance serve` starts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from appliance.settings import Settings
from deploy.local.ports import require_free
from deploy.local.process import Process
from deploy.local.settings_file import absolute, write_settings

ROOT = Path(__file__).resolve().parents[2]


class ServiceProcess:
    """A running service.

    Parameters
    ----------
    settings
        Its settings; relative paths are taken from the checkout.
    folder
        Where its settings file and its log lie.
    die_with_parent
        End it when this process ends, however that ends.
    """

    def __init__(self, settings: Settings, folder: Path, *, die_with_parent: bool = True) -> None:
        self.settings = absolute(settings, ROOT)
        self.url = f"http://{settings.service.host}:{settings.service.port}"
        self.settings_file = folder.absolute() / "appliance.toml"
        self._process = Process("the service", folder.absolute() / "service.log", die_with_parent=die_with_parent)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> Path:
        """Where it writes its log."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid

    def start(self, timeout_s: float = 120) -> None:
        """Start it and return when it is ready to read studies.

        Raises `UnavailableError` when its port is taken, or it ends or is not ready in time: with its log's end.
        """
        self.launch()
        self.wait(timeout_s)

    def launch(self) -> None:
        """Start it without waiting for it. Raises `UnavailableError` when its port is taken."""
        require_free({"service.port": self.settings.service.port})
        write_settings(self.settings, self.settings_file)
        # What stood in the environment is in the file already, and may be older than what the caller changed since.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("APPLIANCE_")}
        command = [sys.executable, "-m", "appliance", "serve", "--settings", str(self.settings_file)]
        self._process.launch(command, environment, ROOT)

    def wait(self, timeout_s: float = 120) -> None:
        """Return when it is ready to read studies. Raises `UnavailableError` when it ended or took too long."""
        with self.client() as client:
            self._process.wait_until(lambda: _is_ready(client), timeout_s)

    def client(self) -> httpx.Client:
        """Return a client of its HTTP interface; the caller closes it."""
        return httpx.Client(base_url=self.url, timeout=10, trust_env=False)

    def stop(self) -> None:
        """Stop it in order."""
        self._process.stop()

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._process.kill()


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
