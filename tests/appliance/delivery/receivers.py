# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Real receivers for the tests of deliveries: an HL7 listener, a web server and a mail server, each on its port.

Each keeps what came, and can be told how to answer. One that is closed and opened again has the same port.
"""

from __future__ import annotations

import socketserver
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from deploy.local.ports import free_ports


class Receiver(ABC):
    """A server that can be opened and closed; what came stays. With `tls` it speaks nothing else."""

    tls: ssl.SSLContext | None = None

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self._server: socketserver.TCPServer | None = None

    @abstractmethod
    def make(self) -> socketserver.TCPServer:
        """Return a new server of its kind on `port`."""

    def open(self) -> None:
        self._server = self.make()
        if self.tls is not None:
            self._server.socket = self.tls.wrap_socket(self._server.socket, server_side=True)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@dataclass
class Posted:
    """One request of a web server."""

    headers: dict[str, str]
    body: bytes


class Hook(Receiver):
    """A web server that answers POST with `status`."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 204
        self.came: list[Posted] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/told"

    def make(self) -> ThreadingHTTPServer:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.came.append(Posted({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        ThreadingHTTPServer.allow_reuse_address = True
        return ThreadingHTTPServer(("127.0.0.1", self.port), Handler)


class Listener(Receiver):
    """An HL7 listener by MLLP; `answer` makes the acknowledgement of a message, by default AA."""

    def __init__(self) -> None:
        super().__init__()
        self.came: list[str] = []
        self.answer: Callable[[str], bytes] = acknowledge

    def make(self) -> socketserver.ThreadingTCPServer:
        listener = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                told = b""
                while not told.endswith(b"\x1c\r"):
                    part = self.rfile.read1(4096)
                    if not part:
                        return
                    told += part
                assert told.startswith(b"\x0b")
                message = told[1:-2].decode("utf-8")
                listener.came.append(message)
                self.wfile.write(listener.answer(message))

        class Server(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

        return Server(("127.0.0.1", self.port), Handler)


def control_of(message: str) -> str:
    """Return the control identifier of an HL7 message."""
    return message.split("\r")[0].split("|")[9]


def acknowledge(message: str, code: str = "AA", said: str = "", about: str | None = None) -> bytes:
    """Return the acknowledgement of a message."""
    control = control_of(message) if about is None else about
    text = f"MSH|^~\\&|RIS|HOSP|HEMORRHAGE||20260101000000||ACK^R01^ACK|A1|P|2.5.1\rMSA|{code}|{control}|{said}\r"
    return b"\x0b" + text.encode() + b"\x1c\r"


@dataclass
class MailServer:
    """A mail server; `replies` by address are what it answers to that recipient instead of taking it."""

    came: list[Message] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    replies: dict[str, str] = field(default_factory=dict)
    sender_reply: str = "250 OK"
    data_reply: str = "250 OK"
    port: int = field(default_factory=lambda: free_ports(1)[0])

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address if self.sender_reply.startswith("2") else None
        return self.sender_reply

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address in self.replies:
            return self.replies[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        if self.data_reply.startswith("2"):
            assert isinstance(envelope.content, bytes)
            self.came.append(message_from_bytes(envelope.content))
            self.envelopes.append(envelope)
        return self.data_reply

    @contextmanager
    def opened(self, **options: Any) -> Iterator[MailServer]:
        """Serve on its port."""
        controller = Controller(self, hostname="127.0.0.1", port=self.port, **options)
        controller.start()
        try:
            yield self
        finally:
            controller.stop()
