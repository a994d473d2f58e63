# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP to neighbours, with a limit on the length of their answers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

import httpx

LARGEST: Final = 64 * 2**20
"""The default limit, bytes."""


class TooLongError(httpx.TransportError):
    """An answer was longer than its limit, or compressed, so that its length is unknown."""


def tls_for(url: str) -> ssl.SSLContext:
    """Return the TLS of a client of `url`: that of one for plain HTTP trusts nobody.

    httpx by itself reads all authorities of the web for each client, which takes longer than most requests.
    """
    if url.startswith("https:"):
        return httpx.create_ssl_context(trust_env=False)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class BoundedTransport(httpx.HTTPTransport):
    """A transport to `url` that raises `TooLongError` once the body of an answer passes `limit` bytes.

    It asks for uncompressed answers: a few compressed bytes may stand for any number of others.
    """

    def __init__(self, url: str, limit: int) -> None:
        super().__init__(verify=tls_for(url), trust_env=False)  # a hospital's web proxy does not reach a neighbour
        self._limit = limit

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request and return its answer, whose body is limited."""
        request.headers["Accept-Encoding"] = "identity"
        response = super().handle_request(request)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            response.close()
            raise TooLongError("the answer is compressed, which was not asked for")
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = _BoundedStream(response.stream, self._limit)
        return response


class _BoundedStream(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit

    def __iter__(self) -> Iterator[bytes]:
        taken = 0
        for part in self._stream:
            taken += len(part)
            if taken > self._limit:
                raise TooLongError(f"the answer is longer than {self._limit} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()


def bounded_client(address: str, *, timeout_s: float, limit: int = LARGEST) -> httpx.Client:
    """Return a client of the server at `address`; the caller closes it."""
    transport = BoundedTransport(address, limit)
    return httpx.Client(base_url=address, timeout=timeout_s, transport=transport, trust_env=False)
