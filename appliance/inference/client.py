# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A connection to Triton that sends the secret of the settings with every request.

A Triton started with `restrictions` answers nobody else, except about its health: no page in a browser and no other
program can unload a model or register shared memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tritonclient.grpc import InferenceServerClient, InferenceServerClientPlugin
from tritonclient.utils import InferenceServerException

from appliance.sections.triton import TritonSettings

THIS_MACHINE: Final = ("127.0.0.1", "localhost")
CONTROL_TIMEOUT_S: Final = 10.0
"""Longest wait for Triton's answers about itself, its models and its regions, s."""
LOAD_TIMEOUT_S: Final = 90.0
"""Longest wait for Triton to load a model, s: longer than its process tries engines, shorter than a start may take."""
HTTP_HEADER: Final = "x-hemorrhage-secret"
"""The HTTP header that carries the secret to Triton; over gRPC it has Triton's own prefix."""
_LAST_PORT: Final = 65535
_GRPC_HEADER: Final = f"triton-grpc-protocol-{HTTP_HEADER}"
_RESTRICTED: Final = (
    *("metadata", "inference", "shared-memory", "model-config", "model-repository"),
    *("statistics", "trace", "logging"),
)
"""Everything that Triton can restrict except `health`, which probes request without a secret."""


class _Secret(InferenceServerClientPlugin):  # type: ignore[misc]  # it has no types
    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, request: Any) -> None:
        request.headers[_GRPC_HEADER] = self._secret


def triton_client(settings: TritonSettings, channel: Sequence[tuple[str, Any]]) -> InferenceServerClient:
    """Return a client of the Triton of the settings, with gRPC's `channel` arguments; the caller closes it."""
    client = InferenceServerClient(f"{settings.host}:{settings.grpc_port}", channel_args=list(channel))
    if settings.secret:
        client.register_plugin(_Secret(settings.secret))
    return client


def is_live(client: InferenceServerClient, timeout_s: float = CONTROL_TIMEOUT_S) -> bool:
    """Return whether a Triton says in time that it is live."""
    try:
        return bool(client.is_server_live(client_timeout=timeout_s))
    except InferenceServerException:
        return False


def endpoints(settings: TritonSettings) -> tuple[TritonSettings, ...]:
    """Return the settings of each Triton that may be asked, the first one first.

    The metrics of another one are looked for on the port after its gRPC port, where they are by default.
    """
    found = [settings]
    for other in settings.others:
        host, _, port = other.rpartition(":")
        shared = settings.shared_memory and host in THIS_MACHINE
        ports = {"grpc_port": int(port), "metrics_port": min(int(port) + 1, _LAST_PORT)}
        found.append(settings.model_copy(update={"host": host, "shared_memory": shared, **ports}))
    return tuple(found)


def http_headers(settings: TritonSettings) -> dict[str, str]:
    """Return the HTTP headers that Triton requires for everything except its health."""
    return {HTTP_HEADER: settings.secret} if settings.secret else {}


def restrictions(settings: TritonSettings) -> list[str]:
    """Return the options of tritonserver that require the secret; none if there is no secret."""
    if not settings.secret:
        return []
    what = f"{','.join(_RESTRICTED)}:{HTTP_HEADER}={settings.secret}"
    return [f"--http-restricted-api={what}", f"--grpc-restricted-protocol={what}"]
