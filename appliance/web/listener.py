# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's HTTP on one socket, in its own thread: with a certificate or in the clear.

A client has a limited time to send the whole head of a request; otherwise its connection is closed, so that clients
that open many connections and send nothing keep nobody else out.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.errors import ApplianceError
from appliance.web.certificate import Certificate

PATIENCE_S: Final = 10.0
"""Longest wait for the head of a connection's first request, s; idle connections end after uvicorn's 5 s."""
_MOST_CONNECTIONS: Final = 256
_LONGEST_HEAD: Final = 16 * 1024


class _Connection(H11Protocol):
    """A connection that is closed if the head of its first request does not arrive in time."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting = self.loop.call_later(PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None and not self.transport.is_closing():
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)


class Listener:
    """A server of `app` on `sock`, in the clear without a `certificate`; it serves from `run` until `stop`."""

    def __init__(self, app: ASGIApp, sock: socket.socket, certificate: Certificate | None = None) -> None:
        self._sock = sock
        config = uvicorn.Config(
            app,
            http=_Connection,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_MOST_CONNECTIONS,
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=2,
        )
        config.load()
        config.ssl = certificate.context if certificate is not None else None
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until `stop`."""
        self._server.run(sockets=[self._sock])

    def stop(self) -> None:
        """Let `run` return soon."""
        self._server.should_exit = True


def listen(host: str, port: int, section: str) -> socket.socket:
    """Return a listening socket. Raises `ApplianceError` with the names of the settings in `section`."""
    try:
        return socket.create_server((host, port), backlog=256)
    except OSError as error:
        raise ApplianceError(
            f"{section}.host = {host!r}, {section}.port = {port}: cannot listen there ({error.strerror}); "
            "stop what uses the port, or set another one"
        ) from error
