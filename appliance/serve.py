# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The process of the service: kept private and small, run until a signal, watched by systemd."""

from __future__ import annotations

import ctypes
import signal
import threading
from typing import Final

from appliance.log import log_to
from appliance.private import be_private, close_to_others
from appliance.reading_room import ReadingRoom
from appliance.service import Service
from appliance.settings import Settings
from appliance.systemd import READY, STOPPING, be_watched, notify

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h
_LARGE: Final = 8 * 2**20


def serve(settings: Settings, room: ReadingRoom | None = None) -> None:
    """Run the service until SIGTERM or SIGINT; the study in progress is finished first.

    Raises `ApplianceError` when it cannot start: the ledger cannot be opened, or the port is taken.
    """
    be_private()
    close_to_others(settings.state_dir.glob("ledger.sqlite*"))
    _keep_memory_small()
    log_to()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    service = Service(settings, room)
    service.start()
    notify(READY)
    try:
        be_watched(service.fault, stopping, service.log_fault)
    finally:
        notify(STOPPING)
        service.stop()


def _keep_memory_small() -> None:
    """Have all threads allocate from one arena that returns large blocks, if the C library is glibc.

    Arenas of single threads keep what their largest study took: 50 MB more at the peak of 320 slices, with no gain in
    speed. And once arrays of some size have been freed, glibc takes others of that size from the arena too, which small
    blocks that stay keep from shrinking: 20 MB more at that peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)
        mallopt(_M_MMAP_THRESHOLD, _LARGE)
        mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE)
