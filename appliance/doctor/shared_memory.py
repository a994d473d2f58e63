# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Whether volumes can go to Triton through shared memory."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Final

from appliance.doctor.addresses import is_loopback
from appliance.doctor.check import Check
from appliance.settings import Settings

_SHARED_MEMORY_MB: Final = 64


def check_shared_memory(settings: Settings) -> Iterator[Check]:
    """Check the setting and the room in /dev/shm."""
    triton = settings.triton
    if not triton.shared_memory:
        if is_loopback(triton.host):
            yield Check(
                "shared memory",
                "warn",
                "off, though Triton runs on this machine",
                "set triton.shared_memory = true, unless Triton runs in a container of its own: it saves about 30 ms a "
                "study",
            )
        return
    if not is_loopback(triton.host):
        yield Check(
            "shared memory",
            "warn",
            f"on, though Triton runs on {triton.host}",
            "set triton.shared_memory = false when that is another machine",
        )
        return
    free_mb = shutil.disk_usage("/dev/shm").free / 1e6
    if free_mb < _SHARED_MEMORY_MB:
        yield Check(
            "shared memory",
            "fail",
            f"{free_mb:.0f} MB free in /dev/shm",
            f"make it larger (`--shm-size` of a container): {_SHARED_MEMORY_MB} MB are needed",
        )
    else:
        yield Check("shared memory", "ok", f"{free_mb:.0f} MB free in /dev/shm")
