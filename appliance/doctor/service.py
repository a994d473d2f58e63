# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the service is live and ready."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from appliance.doctor.check import PATIENCE_S, Check
from appliance.settings import Settings
from appliance.transport import bounded_client


def check_service(settings: Settings) -> Iterator[Check]:
    """Ask the service for its health."""
    address = f"http://{settings.service.host}:{settings.service.port}"
    with bounded_client(address, timeout_s=PATIENCE_S) as client:
        try:
            alive = client.get("/health/live")
            ready = client.get("/health/ready")
        except httpx.HTTPError as error:
            yield Check(
                "service",
                "fail",
                f"no answer from {address}: {error}",
                "start it (`appliance serve`, `make up`), or set service.host and service.port; it catches up on what "
                "came meanwhile",
            )
            return
    if alive.status_code != httpx.codes.OK:
        yield Check(
            "service",
            "fail",
            f"{address} answers {alive.status_code} and is not live",
            "restart the service and see its log; another program may listen on service.port",
        )
    elif ready.status_code != httpx.codes.OK:
        yield Check(
            "service",
            "fail",
            f"runs at {address} but is not ready: {ready.text[:500]}",
            "see to the faults above; the service goes on by itself when they are gone",
        )
    else:
        yield Check("service", "ok", f"ready at {address}")
