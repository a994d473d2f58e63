# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The Python plugin of Orthanc and the doorbell in it."""

from __future__ import annotations

from collections.abc import Iterator

from appliance.doctor.addresses import is_same_server, without_user
from appliance.doctor.check import Check
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import OrthancError
from appliance.settings import Settings


def check_plugin(settings: Settings, orthanc: Orthanc) -> Iterator[Check]:
    """Check the Python plugin and our doorbell in it."""
    loaded = orthanc.plugins()
    if "python" not in loaded:
        yield Check(
            "orthanc python plugin",
            "warn",
            f"not loaded (plugins: {', '.join(loaded) or 'none'})",
            "install orthanc-python and name its libOrthancPython.so under Plugins in Orthanc's configuration; without "
            "it studies are still found, but later",
        )
        return
    yield Check("orthanc python plugin", "ok", "loaded")
    try:
        status, answered = orthanc.doorbell_status(), 200
    except OrthancError as error:
        status, answered = {}, error.status
    plugin = status.get("plugin")
    if not isinstance(plugin, dict):
        yield Check(
            "doorbell",
            "warn",
            f"/hemorrhage/status answers {answered}",
            "name orthanc_plugin/hemorrhage_doorbell.py as PythonScript in Orthanc's configuration; when it is named, "
            "Orthanc's log says why it did not load. Without it studies are still found, but later",
        )
        return
    rung = str(plugin.get("service_url", ""))
    service = f"http://{settings.service.host}:{settings.service.port}"
    if not is_same_server(rung, service):
        yield Check(
            "doorbell",
            "warn",
            f"rings at {without_user(rung)}, the service listens on {service}",
            "make Hemorrhage.ServiceUrl in Orthanc's configuration and service.host, service.port the same, and "
            "restart Orthanc; until then studies are still found, but later",
        )
    elif status.get("service") is None:
        yield Check(
            "doorbell",
            "warn",
            f"loaded, but does not reach the service: {status.get('error') or 'no answer'}",
            "start the service (`appliance serve`, `make up`); what came meanwhile is read then. When it runs, it was "
            "too busy to answer at once: ask again",
        )
    else:
        yield Check("doorbell", "ok", f"rings at {rung}, {plugin.get('rings', 0)} times since Orthanc started")
