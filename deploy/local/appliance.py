# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The whole appliance on one machine: Orthanc, Triton and the service, started together and stopped in order."""

from __future__ import annotations

import time
from collections.abc import Callable

from appliance.inference.server import TritonServer
from appliance.ports import require_free
from appliance.private import be_private, close_to_others
from appliance.process import Started
from appliance.settings import Settings
from deploy.local import records
from deploy.local.credentials import with_credentials
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import named_ports
from deploy.local.service import ROOT, ServiceProcess
from deploy.local.settings_file import absolute


def with_storage(settings: Settings) -> Settings:
    """Return settings that name the storage of the Orthanc that is started here, unless they name one."""
    if settings.orthanc.storage is not None:
        return settings
    orthanc = settings.orthanc.model_copy(update={"storage": settings.state_dir / "orthanc" / "storage"})
    return settings.model_copy(update={"orthanc": orthanc})


class LocalAppliance(Started):
    """Orthanc, Triton and the service with one set of settings.

    Parameters
    ----------
    settings
        Ports, names and everything else; relative paths are taken from the checkout. `deploy.local.ports` has
        `with_free_ports` for one that collides with no other. What they lack of credentials is made; the attribute
        `settings` holds it.
    detached
        Leave the three running when this process ends, with their records in the state folder; otherwise they end
        with it, however it ends.
    tcp_nodelay
        Whether Orthanc's DICOM sockets send small packets at once.
    report
        Is told of each server once it is ready, with the seconds since the start.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        detached: bool = False,
        tcp_nodelay: bool = True,
        report: Callable[[str, float], None] = lambda name, seconds: None,  # noqa: ARG005 - nobody listens
    ) -> None:
        self.settings = with_storage(with_credentials(absolute(settings, ROOT)))
        self.state_dir = self.settings.state_dir
        self._detached = detached
        self._report = report
        tied = not detached
        self.orthanc = OrthancProcess(
            self.settings, self.state_dir / "orthanc", tcp_nodelay=tcp_nodelay, die_with_parent=tied
        )
        self.triton = TritonServer(self.settings.triton, self.state_dir / "triton", die_with_parent=tied)
        files = (*self.settings.log.files, self.orthanc.log, self.triton.log)
        logs = self.settings.log.model_copy(update={"files": files})
        self.service = ServiceProcess(
            self.settings.model_copy(update={"log": logs}), self.state_dir / "service", die_with_parent=tied
        )

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
        parts = ("orthanc", "orthanc/storage", "orthanc/orthanc.log", "triton", "triton/triton.log", "service")
        close_to_others(self.state_dir / part for part in parts)
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
            if self._detached:
                records.write(self.records(), self.state_dir)
        except BaseException:
            self.stop()
            raise

    def records(self) -> list[records.Record]:
        """Return a record of each running server, in the order of their start."""
        orthanc, triton = self.settings.orthanc, self.settings.triton
        servers = (
            (
                "Orthanc",
                self.orthanc.pid,
                f"{orthanc.aet} at port {orthanc.dicom_port}, {orthanc.url}",
                self.orthanc.log,
            ),
            ("Triton", self.triton.pid, f"grpc://{triton.host}:{triton.grpc_port}", self.triton.log),
            ("service", self.service.pid, self.service.url, self.service.log),
        )
        return [records.record_of(name, pid, address, log) for name, pid, address, log in servers if pid is not None]

    def stop(self) -> None:
        """Stop the service, then Triton and Orthanc; what they stored stays."""
        self.service.stop()
        self.triton.stop()
        self.orthanc.stop()
