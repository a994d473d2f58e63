# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses as the checks compare and show them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def without_user(url: str) -> str:
    """Return a URL without the user and password that it may contain."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


def is_same_server(a: str, b: str) -> bool:
    """Return whether two URLs name one server; names of loopback and the wildcard address count as equal."""
    first, second = urlsplit(a), urlsplit(b)
    try:
        ports = first.port or 80, second.port or 80
    except ValueError:
        return False
    hosts = first.hostname or "", second.hostname or ""
    same_host = hosts[0] == hosts[1] or all(map(is_loopback, hosts)) or hosts[1] in ("0.0.0.0", "::")
    return same_host and ports[0] == ports[1]


def is_loopback(host: str) -> bool:
    """Return whether a host name or address is that of this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
