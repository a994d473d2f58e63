# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the ports of this machine that the settings name are free; checked before a server is started on them."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from appliance.errors import UnavailableError


def is_free(port: int) -> bool:
    """Return whether a server could listen on `port` on every address of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def require_free(ports: Mapping[str, int]) -> None:
    """Raise `UnavailableError` with every setting whose port another program has or another setting names."""
    lines = [f"  {name} = {port} is taken by another program" for name, port in ports.items() if not is_free(port)]
    by_port: dict[int, str] = {}
    for name, port in ports.items():
        other = by_port.setdefault(port, name)
        if other != name:
            lines.append(f"  {name} = {port} is also {other}")
    if lines:
        raise UnavailableError(
            "ports are not free:\n" + "\n".join(lines) + "\nset others in the settings file, or stop the program that "
            "has them (`ss -ltnp` names it)"
        )
