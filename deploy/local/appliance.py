# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The whole appliance for as long as a process lasts: Orthanc, Triton and the service, started and stopped in order.

It is for the demo, tests and benchmarks; `supervised` has the appliance that stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from appliance.inference.server import TritonServer
from appliance.ports import require_free
from appliance.private import be_private, close_to_others
from appliance.process import Started
from appliance.settings import Settings
from deploy.local.credentials import with_credentials
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import named_ports
from deploy.local.service import ROOT, ServiceProcess
from deploy.local.settings_file import make_absolute


def close_state(state_dir: Path) -> None:
    """Remove the rights of others to files that an older version left open in the state folder."""
    parts = ("orthanc", "orthanc/storage", "orthanc/orthanc.log", "triton", "triton/triton.log", "service")
    close_to_others(state_dir / part for part in parts)


def complete(settings: Settings) -> Settings:
    """Return settings with absolute paths, a storage and credentials, for an appliance that is started here."""
    return with_storage(with_credentials(make_absolute(settings, ROOT)))


def with_storage(settings: Settings) -> Settings:
    """Return settings that name the storage of the Orthanc that is started here, unless they name one."""
    if settings.orthanc.storage is not None:
        return settings
    orthanc = settings.orthanc.model_copy(update={"storage": settings.state_dir / "orthanc" / "storage"})
    return settings.model_copy(update={"orthanc": orthanc})


class LocalAppliance(Started):
    """Orthanc, Triton and the service with one set of settings; they end with this process, however it ends.

    Parameters
    ----------
    settings
        Ports, names and everything else; relative paths are taken from the checkout. `deploy.local.ports` has
        `with_free_ports` for one that collides with no other. Missing credentials are made; the attribute `settings`
        holds them.
    tcp_nodelay
        Whether Orthanc's DICOM sockets send small packets at once.
    report
        Called for each server once it is ready, with the seconds since the start.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        tcp_nodelay: bool = True,
        report: Callable[[str, float], None] = lambda name, seconds: None,  # noqa: ARG005 - nobody listens
    ) -> None:
        self.settings = complete(settings)
        self.state_dir = self.settings.state_dir
        self._report = report
        self.orthanc = OrthancProcess(self.settings, self.state_dir / "orthanc", tcp_nodelay=tcp_nodelay)
        self.triton = TritonServer(
            self.settings.triton, self.state_dir / "triton", site_models=self.settings.site_models
        )
        self.service = ServiceProcess(self.settings, self.state_dir / "service")

    def start(self) -> None:
        """Start all three and return when studies can be sent.

        The service and Orthanc come up while Triton loads its model. When one fails, all are stopped again.

        Raises
        ------
        SettingsError
            when a program or a model is not there.
        UnavailableError
            when ports are taken, or a server does not get ready: with the place and the end of its log.
        """
        require_free(named_ports(self.settings))
        be_private()
        close_state(self.state_dir)
        begin = time.monotonic()
        try:
            self.orthanc.launch()
            self.service.launch()
            self.triton.start()
            self._report("Triton", time.monotonic() - begin)
            self.orthanc.wait()
            self._report("Orthanc", time.monotonic() - begin)
            self.service.wait()
            self._report("the service", time.monotonic() - begin)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the service, then Triton and Orthanc; their data stays."""
        self.service.stop()
        self.triton.stop()
        self.orthanc.stop()
