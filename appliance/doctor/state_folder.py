# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The folder of what the service keeps."""

from __future__ import annotations

import os
from collections.abc import Iterator

from appliance.doctor.check import Check
from appliance.doctor.disk import check_disk
from appliance.settings import Settings


def check_state_folder(settings: Settings) -> Iterator[Check]:
    """Look at the folder, or the nearest one above that is there, and at the disk it lies on."""
    folder = settings.state_dir.absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        yield Check("state folder", "fail", f"{nearest} is a file", "set state_dir to a folder")
        return
    if not os.access(nearest, os.W_OK | os.X_OK):
        yield Check(
            "state folder",
            "fail",
            f"{nearest} cannot be written by this user",
            f"give this user the folder (`chown`), or set state_dir to one of its own: now {folder}",
        )
    elif nearest == folder:
        yield Check("state folder", "ok", f"{folder} can be written")
    else:
        yield Check("state folder", "ok", f"{folder} is not there yet; the first start makes it")
    yield from check_disk(nearest, settings.disk_low_gb)
