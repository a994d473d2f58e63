# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Orthanc can store what arrives: the room on its disk, and how it answered to our results.

Orthanc does not tell how full its disk is, and storing a test study would ring every bell. So its storage folder is
checked when it is on this machine (`orthanc.storage`). An Orthanc that refused a result (a full disk may be the cause)
does not count as well until it stores one as large; on another machine this is the only sign.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from appliance.errors import UnavailableError

ROOM_FOR_A_STUDY: Final = 200 * 10**6
"""A head CT takes 20 to 200 MB, bytes."""


@dataclass(frozen=True)
class StoreRefusal:
    """A result that Orthanc did not store: its SOP Instance UID, its size (bytes), when (monotonic, s), and why."""

    uid: str
    bytes: int
    at: float
    reason: str


class StandingRefusal:
    """The largest result that Orthanc refused and that nothing has disproved since; safe from several threads.

    A smaller result that finds room on a disk that is nearly full says nothing of it. One as large does, whoever's it
    is: the refused one itself may never come again, as another service may have stored it, or its study has grown.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._refusal: StoreRefusal | None = None

    def note(self, uid: str, size: int, reason: str) -> None:
        """Note a refused result; `size` in bytes, 0 when it was not refused for want of room."""
        with self._lock:
            if self._refusal is None or size >= self._refusal.bytes:
                self._refusal = StoreRefusal(uid, size, self._clock(), reason)

    def note_stored(self, uid: str, size: int) -> None:
        """Note a result that Orthanc holds; `size` in bytes, 0 when it held it before, which took no room."""
        with self._lock:
            if self._refusal is not None and (size >= self._refusal.bytes or uid == self._refusal.uid):
                self._refusal = None

    def within(self, seconds: float) -> StoreRefusal | None:
        """Return the refusal, and forget it when it is older than so many seconds; None when there is none."""
        with self._lock:
            if self._refusal is not None and self._clock() - self._refusal.at >= seconds:
                self._refusal = None
            return self._refusal


def check_storage(folder: Path | None) -> None:
    """Raise `UnavailableError` when a study would find no room in Orthanc's storage folder; None: not known."""
    if folder is None:
        return
    try:
        disk = os.statvfs(folder)
    except OSError as error:
        raise UnavailableError(
            f"Orthanc's storage {folder} cannot be looked at ({error.strerror}); set orthanc.storage to Orthanc's "
            "StorageDirectory, or leave it empty when that is on another machine"
        ) from error
    if disk.f_flag & os.ST_RDONLY:
        raise UnavailableError(f"Orthanc's storage {folder} is on a read-only disk; mount it for writing")
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM_FOR_A_STUDY:
        raise UnavailableError(
            f"{free / 1e6:.0f} MB free in Orthanc's storage {folder}, and a head CT takes up to "
            f"{ROOM_FOR_A_STUDY / 1e6:.0f}; make room on its disk"
        )
