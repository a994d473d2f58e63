# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A program that takes JSON by HTTP POST. Any 2xx confirms; the same delivery has the same Idempotency-Key always."""

from __future__ import annotations

import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, RejectedError, secret_in
from appliance.delivery.destinations.foreign import origin
from appliance.delivery.destinations.tls import certificate_fault, tls_context
from appliance.delivery.message import facts
from appliance.sections.delivery import WebhookSettings
from appliance.transport import tls_for

SIGNATURE: Final = "X-Hemorrhage-Signature"
TIMESTAMP: Final = "X-Hemorrhage-Timestamp"
_LATER: Final = frozenset({406, 408, 409, 413, 414, 415, 425, 431, 500})
"""The request may be accepted later: often it is a limit or a setting of the server, or of a proxy before it."""
_FOR_GOOD: Final = frozenset({400, 422})
"""The request itself is wrong and will never be accepted; with any other status all deliveries wait."""
_SLOWEST: Final = 125_000
"""A line that carries less, bytes/s, is too slow for a request to end."""


class Webhook:
    """Posts the facts of an answer."""

    def __init__(self, settings: WebhookSettings) -> None:
        self._settings = settings

    def deliver(self, parcel: Parcel) -> str:
        """Post, signed if there is a secret; see `Destination`."""
        body = json.dumps(facts(parcel), sort_keys=True).encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": parcel.delivery.key}
        secret = secret_in(self._settings.secret_file)
        if secret:
            now = str(int(time.time()))
            headers |= {TIMESTAMP: now, SIGNATURE: signature(secret, now, body)}
        with http_client(self._settings.url, self._settings.timeout_s, self._settings.ca) as client:
            status = request(client, self._settings.url, body, headers, self._settings.timeout_s).status_code
        return f"HTTP {status}"

    def test(self) -> str:
        """Connect, and over https look at the certificate; nothing is posted."""
        return connect(self._settings.url, self._settings.timeout_s, self._settings.ca)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the signature of a message: HMAC-SHA256 over its time, a full stop and its body."""
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def http_client(url: str, timeout_s: float, ca: Path | None, auth: tuple[str, str] | None = None) -> httpx.Client:
    """Return a client that goes to `url` without a proxy. Raises `AwayError` for a `ca` that cannot be used."""
    verify = tls_context(ca) if url.startswith("https:") else tls_for(url)
    return httpx.Client(timeout=timeout_s, verify=verify, trust_env=False, auth=auth)


class _Deadline:
    """Ends a request that is not over in time, whatever still comes: a timeout of httpx begins anew with each byte."""

    def __init__(self, left_s: float) -> None:
        self.is_over = False
        self._stream: Any = None
        self._timer = threading.Timer(left_s, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Learn of the connection; httpx calls this at each step of a request."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._stream = info["return_value"]
            if self.is_over:
                self._hang_up()

    def _hang_up(self) -> None:
        self.is_over = True
        connection = None if self._stream is None else self._stream.get_extra_info("socket")
        try:
            if connection is not None:
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        except OSError:  # it has ended by itself
            return


def request(
    client: httpx.Client,
    url: str,
    body: bytes,
    headers: dict[str, str],
    timeout_s: float,
    accepted: frozenset[int] = frozenset(),
    method: str = "POST",
) -> httpx.Response:
    """Make a request and return the answer if it has a status 2xx, or one of `accepted`.

    The whole may take `timeout_s`, and as long as a slow line needs for the body. Raises what `Destination.deliver`
    does.
    """
    at = origin(url)
    deadline = _Deadline(timeout_s + len(body) / _SLOWEST)
    try:
        with (
            deadline,
            client.stream(method, url, content=body, headers=headers, extensions={"trace": deadline.trace}) as answer,
        ):
            told = b""
            for part in answer.iter_bytes():
                told += part
                if len(told) > 2**20:
                    break
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        raise AwayError(f"{at} does not answer ({certificate_fault(error) or type(error).__name__})") from error
    except httpx.HTTPError as error:  # it may be this request that it dies of: others are tried too
        said = "its answer does not end in time" if deadline.is_over else type(error).__name__
        raise NotTakenError(f"{at} gives no answer to the request ({said})") from error
    if deadline.is_over:
        raise NotTakenError(f"{at} gives no answer to the request (its answer does not end in time)")
    status = answer.status_code
    if 200 <= status < 300 or status in accepted:
        return httpx.Response(status, headers={"Content-Type": answer.headers.get("Content-Type", "")}, content=told)
    said = f"{at} answers HTTP {status}"
    if status in _FOR_GOOD:
        raise RejectedError(said)
    if status in _LATER:
        raise NotTakenError(said)
    raise AwayError(f"{said}; check its address, and what it asks callers for")


def connect(url: str, timeout_s: float, ca: Path | None) -> str:
    """Connect to the server of a URL and return what was seen. Raises `AwayError`."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    return connect_to(host, port, timeout_s, tls_context(ca) if parts.scheme == "https" else None)


def connect_to(host: str, port: int, timeout_s: float, tls: ssl.SSLContext | None) -> str:
    """Connect to a port, over TLS where a context is given, and return what was seen. Raises `AwayError`."""
    try:
        with socket.create_connection((host, port), timeout_s) as plain:
            if tls is None:
                return f"{host}:{port} is listened on"
            with tls.wrap_socket(plain, server_hostname=host):
                return f"{host}:{port} answers over TLS"
    except OSError as error:  # an error of TLS is one too
        said = certificate_fault(error) or error.strerror or error or type(error).__name__
        raise AwayError(f"{host}:{port} does not answer ({said})") from None
