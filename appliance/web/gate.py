# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Lets in only requests that name this service as their host and that no page of another site made a browser send.

On this machine the service asks for no account (`login` does so for other machines). Any page may make a browser post
to it (a form needs no permission), and anybody's host name may be made to point here (DNS rebinding), so that the
browser takes that page for one of ours.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
"""The names by which this machine addresses itself."""
_READING: Final = ("GET", "HEAD", "OPTIONS")


class Gate:
    """Passes on allowed requests; answers others with 400, 421 or 403.

    Parameters
    ----------
    app
        The application behind the gate.
    trusted
        The host names and addresses of the service, without port. The address at which a connection arrived is trusted
        too: it cannot be a foreign name.
    """

    def __init__(self, app: ASGIApp, trusted: Iterable[str]) -> None:
        self._app = app
        self._trusted = frozenset(name.lower() for name in trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer why it is refused."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the service has no web sockets
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            status, message = refusal
            await JSONResponse({"error": message}, status)(scope, receive, send)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        host = host_name(hosts[0]) if len(hosts) == 1 else None
        if host is None:
            return 400, "the request names no host, or several, or one that cannot be"
        arrived_at = str((scope.get("server") or ("",))[0]).lower()
        if host not in self._trusted and host != arrived_at:
            return 421, "this host is not one of service.trusted_hosts"
        if not _is_utf_8(scope.get("query_string", b"")):  # such bytes have to be escaped; nobody would decode them
            return 400, "the query of the request is not UTF-8"
        if scope["method"] in _READING:
            return None
        origins = headers.getlist("origin")
        if any(_authority(origin) != hosts[0].lower() for origin in origins):
            return 403, "this was sent by a page of another site"
        if any(site not in ("none", "same-origin") for site in headers.getlist("sec-fetch-site")):
            return 403, "this was sent by a page of another site"
        return None


def host_name(host: str) -> str | None:
    """Return the name in a Host header, in lower case, without port and brackets; None when there is none."""
    try:
        parts = urlsplit(f"//{host}")
        port = parts.port  # raises when it is not a number
    except ValueError:
        return None
    if not parts.hostname or parts.netloc != host or parts.username is not None or port == 0:
        return None
    return parts.hostname.lower()


def _is_utf_8(query: bytes) -> bool:
    try:
        query.decode()
    except UnicodeDecodeError:
        return False
    return True


def _authority(origin: str) -> str | None:
    """Return host and port of an Origin header, in lower case; None when it has none (`null`) or is malformed."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or origin.lower() != f"{parts.scheme}://{parts.netloc}".lower():
        return None  # an origin has nothing else: no path, no query, no fragment
    return parts.netloc.lower()
