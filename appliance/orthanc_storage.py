# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Orthanc can store what arrives: the room on its disk, and how it answered to the last result.

Orthanc does not tell how full its disk is, and storing a test study would ring every bell. So its storage folder is
checked when it is on this machine (`orthanc.storage`). An Orthanc that refused our last result (a full disk may be the
cause) does not count as well until it accepts one; on another machine this is the only sign.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from appliance.errors import UnavailableError

ROOM_FOR_A_STUDY: Final = 200 * 10**6
"""A head CT takes 20 to 200 MB, bytes."""


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
