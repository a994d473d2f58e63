# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's HTTP on one socket, in its own thread: with a certificate or in the clear.

A client has a limited time for the TLS handshake and for the whole head of each request; otherwise its connection is
closed. No more than `MOST_CONNECTIONS` are open at once, handshakes included, and further ones wait in the system's
queue. So clients that open many connections and send nothing keep others out for a while at most, and cannot take all
of the process's file descriptors.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from appliance.errors import ApplianceError
from appliance.web.certificate import Certificate

PATIENCE_S: Final = 10.0
"""Longest wait for the TLS handshake, and for the head of a request, s; idle connections end after uvicorn's 5 s."""
MOST_CONNECTIONS: Final = 256
_PAUSE_S: Final = 1.0
_LONGEST_HEAD: Final = 16 * 1024


class _Connection(H11Protocol):
    """A connection that is closed if the head of a request does not arrive in time; `over` is set when it has ended."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.over = asyncio.Event()
        self._waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        super().connection_lost(exc)
        self.over.set()

    def _await_head(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
        self._waiting = self.loop.call_later(PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:  # else a request is being answered
            self.transport.abort()  # `close` would wait for a client that does not read


class _Server(uvicorn.Server):
    """Takes connections by itself: uvicorn would neither limit nor time those that have not shaken hands yet."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        places = asyncio.Semaphore(MOST_CONNECTIONS)
        self._tasks = {asyncio.create_task(self._take_connections(sock, places)) for sock in sockets or []}

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for task in self._tasks:
            task.cancel()
        await super().shutdown(sockets)

    async def _take_connections(self, sock: socket.socket, places: asyncio.Semaphore) -> None:
        sock.setblocking(False)
        while True:
            await places.acquire()
            try:
                connection, _ = await asyncio.get_running_loop().sock_accept(sock)
            except OSError as error:  # the process has no file descriptor left
                structlog.get_logger("web").error("no connection is taken", error=error.strerror)
                places.release()
                await asyncio.sleep(_PAUSE_S)
                continue
            task = asyncio.create_task(self._serve_connection(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            task.add_done_callback(lambda _: places.release())

    async def _serve_connection(self, connection: socket.socket) -> None:
        timed = {"ssl_handshake_timeout": PATIENCE_S, "ssl_shutdown_timeout": PATIENCE_S} if self.config.ssl else {}
        try:
            _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Connection(self.config, self.server_state, self.lifespan.state),
                connection,
                ssl=self.config.ssl,
                **timed,
            )
        except OSError:  # the handshake failed or took too long; what failed it is the client's
            connection.close()
            return
        await protocol.over.wait()


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
            h11_max_incomplete_event_size=_LONGEST_HEAD,
            timeout_graceful_shutdown=2,
        )
        config.load()
        config.ssl = certificate.context if certificate is not None else None
        self._server = _Server(config)

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
