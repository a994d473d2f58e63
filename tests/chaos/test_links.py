# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A link hands on what it is given, and does what it is told to do with it."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator

import pytest

from tests.chaos.links import Conduct, Link


class _Echo(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(line)


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True


@pytest.fixture
def link() -> Iterator[Link]:
    server = _Server(("127.0.0.1", 0), _Echo)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with Link(server.server_address[1]) as link:
        yield link
    server.shutdown()
    thread.join()
    server.server_close()


def connected(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=30)


def said(connection: socket.socket, text: bytes) -> bytes:
    connection.sendall(text)
    heard = b""
    while not heard.endswith(b"\n"):
        part = connection.recv(2**16)
        if not part:
            return heard
        heard += part
    return heard


@pytest.mark.parametrize("conduct", [Conduct.OPEN, Conduct.SLOW])
def test_what_is_given_comes_back_whole(link: Link, conduct: Conduct) -> None:
    link.behave(conduct)
    with connected(link) as connection:
        assert said(connection, b"a" * 20_000 + b"\n") == b"a" * 20_000 + b"\n"


def ends(connection: socket.socket) -> bool:
    """Return whether a connection ends, in order or by a reset, without a word."""
    try:
        connection.sendall(b"is anybody there?\n")
        return connection.recv(10) == b""
    except ConnectionError:
        return True


def test_a_cut_link_ends_old_and_new_connections_and_takes_new_ones_when_it_is_open_again(link: Link) -> None:
    with connected(link) as connection:
        assert said(connection, b"one\n") == b"one\n"
        link.behave(Conduct.CUT)
        assert ends(connection)
    with connected(link) as connection:
        assert ends(connection)
    link.behave(Conduct.OPEN)
    with connected(link) as connection:
        assert said(connection, b"two\n") == b"two\n"


def test_a_hanging_link_hands_on_nothing_until_it_is_open_again(link: Link) -> None:
    link.behave(Conduct.HANGING)
    with connected(link) as connection:
        connection.sendall(b"late\n")
        connection.settimeout(0.5)
        with pytest.raises(TimeoutError):
            connection.recv(10)
        link.behave(Conduct.OPEN)
        connection.settimeout(30)
        assert connection.recv(10) == b"late\n"


def test_a_link_to_nobody_ends_what_connects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with Link(port) as link, connected(link) as connection:
        assert ends(connection)
