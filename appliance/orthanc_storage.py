# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether Orthanc can store what comes: room where its storage lies, and what it said to the last result.

Orthanc itself does not tell how full its disk is, and to store a test study would ring every bell. So its storage
folder is looked at when it is on this machine (`orthanc.storage`), and an Orthanc that refused our last result, with a
full disk for one, is not well until it takes one. Elsewhere than on this machine only the second is seen.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from appliance.errors import UnavailableError

ROOM_FOR_A_STUDY: Final = 200 * 10**6
"""A head CT takes 20 to 200 MB, bytes."""


def check_storage(folder: Path | None) -> None:
    """Raise `UnavailableError` when a study would find no room in Orthanc's storage folder; None: it is not known."""
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
