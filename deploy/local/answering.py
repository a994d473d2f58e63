# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether each of the three servers answers, asked from outside, as its users would ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from appliance.health import NOT_ASKED
from appliance.inference.one_chunk import find_chunk_fault
from appliance.sections.triton import TritonSettings
from appliance.settings import Settings
from appliance.transport import tls_for

_ANSWER_S: Final = 5.0
_CHUNK_S: Final = 20.0
"""How long a Triton that the service has left may take for a chunk, s; nobody else asks it meanwhile."""
Asked = Callable[[], str]
"""Returns why a server does not answer, empty if it does."""


def questions(settings: Settings) -> dict[str, Asked]:
    """Return the question for each server, by the name of its program."""
    orthanc, triton, service = settings.orthanc, settings.triton, settings.service
    user = (orthanc.username, orthanc.password) if orthanc.username else None
    from_triton = f"http://{triton.host}:{triton.http_port}/v2/health/ready"
    from_service = f"http://{service.host}:{service.port}"

    def ask_triton() -> str:
        return _fault(from_triton) or _as_the_service_sees(f"{from_service}/health/ready", triton)

    return {
        "orthanc": lambda: _fault(f"{orthanc.url}/system", user),
        "triton": ask_triton,
        "service": lambda: _fault(f"{from_service}/health/live"),
    }


def not_ready(settings: Settings) -> str:
    """Return why a study that arrived now would not be answered, empty if it would be."""
    service = settings.service
    return _fault(f"http://{service.host}:{service.port}/health/ready")


def _fault(url: str, user: tuple[str, str] | None = None) -> str:
    try:
        answer = httpx.get(url, auth=user, timeout=_ANSWER_S, verify=tls_for(url), trust_env=False)
    except httpx.HTTPError as error:
        return f"{url} does not answer ({type(error).__name__})"
    return "" if answer.status_code == httpx.codes.OK else f"{url} answers {answer.status_code}"


def _as_the_service_sees(url: str, triton: TritonSettings) -> str:
    """Return why this Triton, which accepts connections, answers no study; empty if the service knows nothing (yet).

    A Triton whose model process or card hangs says that it is ready. The service notices. If another one answers in
    its place, the service asks the first one seldom, so this one is sent a chunk from here. One that stands in finds
    its own address in `triton.others`.
    """
    try:
        told = httpx.get(url, timeout=_ANSWER_S, verify=tls_for(url), trust_env=False).json()
        reason = told["reasons"].get("triton", "")
        is_left = "stands_in" in (told.get("model") or {})
    except (httpx.HTTPError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    if reason not in ("", NOT_ASKED):
        return f"the service gets no answer: {reason}"
    is_first = f"{triton.host}:{triton.grpc_port}" not in triton.others
    return find_chunk_fault(triton, _CHUNK_S) if is_left and is_first else ""
