# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The appliance's service as a separate process, as `appliance serve` starts it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx

from appliance.ports import require_free
from appliance.process import Process, Server
from appliance.settings import Settings
from appliance.transport import tls_for
from deploy.local.settings_file import make_absolute, write_settings

ROOT = Path(__file__).resolve().parents[2]


class ServiceProcess(Server):
    """A running service.

    Parameters
    ----------
    settings
        Its settings; relative paths are taken from the checkout.
    folder
        The folder of its settings file and its log.
    die_with_parent
        End it when this process ends, however that ends.
    """

    def __init__(self, settings: Settings, folder: Path, *, die_with_parent: bool = True) -> None:
        log = folder.absolute() / "service.log"
        self.settings = make_absolute(settings, ROOT)
        self.url = f"http://{settings.service.host}:{settings.service.port}"
        self.settings_file = folder.absolute() / "appliance.toml"
        super().__init__(Process("the service", log, die_with_parent=die_with_parent))

    def start(self, timeout_s: float = 120) -> None:
        """Start it and return when it is ready to read studies.

        Raises `UnavailableError` when its port is taken, or it ends or is not ready in time: with its log's end.
        """
        self.launch()
        self.wait(timeout_s)

    def launch(self) -> None:
        """Start it without waiting for it. Raises `UnavailableError` when its port is taken."""
        require_free({"service.port": self.settings.service.port})
        # The file has the environment's values already, and the caller may have changed them since.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("APPLIANCE_")}
        self.prepare()
        self._process.launch(self.command, environment, ROOT)

    @property
    def command(self) -> list[str]:
        """The command that starts it in the checkout, once `prepare` has written its settings file."""
        return [sys.executable, "-m", "appliance", "serve", "--settings", str(self.settings_file)]

    def prepare(self) -> None:
        """Write its settings file."""
        write_settings(self.settings, self.settings_file)

    def wait(self, timeout_s: float = 120) -> None:
        """Return when it is ready to read studies. Raises `UnavailableError` when it ended or took too long."""
        with self.client() as client:
            self._process.wait_until(lambda: _is_ready(client), timeout_s)

    def client(self) -> httpx.Client:
        """Return a client of its HTTP interface; the caller closes it."""
        return httpx.Client(base_url=self.url, timeout=10, verify=tls_for(self.url), trust_env=False)


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
