# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How full the disk is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from appliance.doctor.check import Check, State

_DISK_FULL_GB: Final = 1


def check_disk(folder: Path, low_gb: float) -> Iterator[Check]:
    """Check the room on the disk of `folder`; `low_gb` is the setting, 0 for not watched."""
    free_gb = shutil.disk_usage(folder).free / 1e9
    if not low_gb:
        yield Check("disk", "ok", f"{free_gb:.1f} GB free at {folder}, not watched: disk_low_gb = 0")
        return
    full_gb = max(_DISK_FULL_GB, low_gb / 10)
    state: State = "fail" if free_gb < full_gb else "warn" if free_gb < low_gb else "ok"
    yield Check(
        "disk",
        state,
        f"{free_gb:.1f} GB free at {folder}" + ("" if state == "ok" else f", less than {low_gb:.3g} (disk_low_gb)"),
        "" if state == "ok" else "make room: a head CT takes 20 to 200 MB in Orthanc, and a full disk refuses studies",
    )
