# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Free ports on this machine, and the settings of an appliance that collides with no other one."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from urllib.parse import urlsplit

from appliance.errors import SettingsError, UnavailableError
from appliance.settings import Settings

# Below the range of Linux's ports for outgoing connections, so that none of these takes a port meanwhile.
_RANGE = range(20_000, 32_000)


def orthanc_http_port(settings: Settings) -> int:
    """Return the port of Orthanc's REST interface. Raises `SettingsError` when the address names none."""
    try:
        parts = urlsplit(settings.orthanc.url)
        port = parts.port
    except ValueError as error:
        raise SettingsError(f"orthanc.url = {settings.orthanc.url!r}: {error}") from error
    if parts.scheme != "http" or port is None:
        raise SettingsError(f"orthanc.url = {settings.orthanc.url!r}: http://127.0.0.1:8043 is the form")
    return port


def named_ports(settings: Settings) -> dict[str, int]:
    """Return the ports on which an appliance with these settings listens, by the setting's name."""
    return {
        "orthanc.url": orthanc_http_port(settings),
        "orthanc.dicom_port": settings.orthanc.dicom_port,
        "triton.http_port": settings.triton.http_port,
        "triton.grpc_port": settings.triton.grpc_port,
        "triton.metrics_port": settings.triton.metrics_port,
        "service.port": settings.service.port,
    }


def free_ports(count: int) -> list[int]:
    """Return `count` different ports on which nothing listens. Raises `UnavailableError` when there are none."""
    found: list[int] = []
    with contextlib.ExitStack() as held:  # all are held until the last is found, so that they differ
        for port in random.SystemRandom().sample(_RANGE, len(_RANGE)):
            if len(found) == count:
                return found
            probe = held.enter_context(socket.socket())
            try:
                probe.bind(("", port))
            except OSError:
                continue
            found.append(port)
    raise UnavailableError(f"no {count} free ports between {_RANGE.start} and {_RANGE.stop}")


def with_free_ports(settings: Settings, state_dir: Path) -> Settings:
    """Return `settings` with free ports on loopback and with `state_dir`, for an appliance beside others."""
    http, dicom, triton_http, triton_grpc, triton_metrics, service = free_ports(6)
    return settings.model_copy(
        update={
            "state_dir": state_dir,
            "orthanc": settings.orthanc.model_copy(
                update={"url": f"http://127.0.0.1:{http}", "dicom_host": "127.0.0.1", "dicom_port": dicom}
            ),
            "triton": settings.triton.model_copy(
                update={
                    "host": "127.0.0.1",
                    "http_port": triton_http,
                    "grpc_port": triton_grpc,
                    "metrics_port": triton_metrics,
                }
            ),
            "service": settings.service.model_copy(update={"host": "127.0.0.1", "port": service}),
        }
    )
