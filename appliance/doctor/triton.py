# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Triton is live and offers its metrics."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from appliance.doctor.check import PATIENCE_S, Check, State
from appliance.doctor.model import check_model, check_others
from appliance.doctor.shared_memory import check_shared_memory
from appliance.settings import Settings
from appliance.transport import bounded_client


def check_triton(settings: Settings) -> Iterator[Check]:
    """Check Triton, and the model if Triton is live; then the other Tritons."""
    yield from _first(settings)
    yield from check_others(settings)


def _first(settings: Settings) -> Iterator[Check]:
    triton = settings.triton
    # Studies wait only where there is no other one.
    state: State = "warn" if triton.others else "fail"
    meanwhile = "triton.others are asked" if triton.others else "studies wait"
    address = f"{triton.host}:{triton.http_port}"
    try:
        with bounded_client(f"http://{address}", timeout_s=PATIENCE_S) as client:
            answer = client.get("/v2/health/live")
    except httpx.HTTPError as error:
        yield Check(
            "triton",
            state,
            f"no answer from {address}: {error}",
            f"start Triton (`make up`, or its service), or set triton.host and triton.http_port; {meanwhile} meanwhile",
        )
        if triton.others:
            yield from check_model(settings)
        return
    if answer.status_code != httpx.codes.OK:
        yield Check(
            "triton",
            state,
            f"{address} answers {answer.status_code} and is not live",
            "see Triton's log, or set triton.http_port; another program may listen there",
        )
        if triton.others:
            yield from check_model(settings)
        return
    yield Check("triton", "ok", f"live at {address}")
    yield from check_shared_memory(settings)
    yield from check_model(settings)
    yield from _triton_metrics(settings)


def _triton_metrics(settings: Settings) -> Iterator[Check]:
    address = f"{settings.triton.host}:{settings.triton.metrics_port}"
    try:
        with bounded_client(f"http://{address}", timeout_s=PATIENCE_S) as client:
            is_triton = "nv_inference_count" in client.get("/metrics").text
    except httpx.HTTPError:
        is_triton = False
    if is_triton:
        yield Check("triton metrics", "ok", f"at {address}")
    else:
        yield Check(
            "triton metrics",
            "warn",
            f"no metrics of a Triton at {address}",
            "set triton.metrics_port, or start Triton with --allow-metrics=true; studies are still read",
        )
