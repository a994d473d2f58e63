# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether each of the three servers answers, asked from outside, as its users would ask."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import httpx

from appliance.health import NOT_ASKED
from appliance.settings import Settings
from appliance.transport import tls_for

_ANSWER_S: Final = 5.0
Asked = Callable[[], str]
"""Returns why a server does not answer, empty if it does."""


def questions(settings: Settings) -> dict[str, Asked]:
    """Return the question for each server, by the name of its program."""
    orthanc, triton, service = settings.orthanc, settings.triton, settings.service
    user = (orthanc.username, orthanc.password) if orthanc.username else None
    from_triton = f"http://{triton.host}:{triton.http_port}/v2/health/ready"
    from_service = f"http://{service.host}:{service.port}"

    def ask_triton() -> str:
        return _fault(from_triton) or _as_the_service_sees(f"{from_service}/health/ready", "triton")

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


def _as_the_service_sees(url: str, neighbour: str) -> str:
    """Return why the service gets no answer from a neighbour that accepts connections; empty if it knows nothing (yet).

    A Triton whose model process hangs says that it is ready.
    """
    try:
        reasons = httpx.get(url, timeout=_ANSWER_S, verify=tls_for(url), trust_env=False).json()["reasons"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return ""
    reason = reasons.get(neighbour, "") if isinstance(reasons, dict) else ""
    return f"the service gets no answer: {reason}" if reason not in ("", NOT_ASKED) else ""
