# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The service's folder: whether it can be written, who owns its files, how full its disk is."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from appliance.doctor.check import Check
from appliance.doctor.disk import check_disk
from appliance.errors import UnavailableError
from appliance.settings import Settings
from appliance.state_folder import FILES, probe_folder


def check_state_folder(settings: Settings) -> Iterator[Check]:
    """Write into the folder, or check the nearest existing one above it, and check its disk."""
    folder = settings.state_dir.absolute()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not nearest.is_dir():
        yield Check("state folder", "fail", f"{nearest} is a file", "set state_dir to a folder")
        return
    if nearest != folder:
        yield _not_made_yet(folder, nearest)
    else:
        yield _check_writing(folder)
    yield from check_disk(nearest, settings.disk_low_gb)


def _not_made_yet(folder: Path, nearest: Path) -> Check:
    if os.access(nearest, os.W_OK | os.X_OK):
        return Check("state folder", "ok", f"{folder} is not there yet; the first start makes it")
    return Check(
        "state folder",
        "fail",
        f"{nearest} cannot be written by this user",
        f"give this user the folder (`chown`), or set state_dir to one of its own: now {folder}",
    )


def _check_writing(folder: Path) -> Check:
    strangers = find_files_of_others(folder, (folder / name for name in FILES))
    if strangers:
        return Check(
            "state folder",
            "fail",
            f"{', '.join(path.name for path in strangers)} in {folder} belong to another user than the folder",
            f"`chown --reference={folder} {' '.join(map(str, strangers))}`: they were made by a command run as another "
            "user, and the service cannot write them",
        )
    try:
        probe_folder(folder)
    except UnavailableError as error:
        return Check(
            "state folder",
            "fail",
            str(error),
            "see to the disk or the rights, or set state_dir to a folder that this user can write",
        )
    return Check("state folder", "ok", f"{folder} can be written")


def find_files_of_others(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Return the existing files that belong to another user than their folder."""
    owner = folder.stat().st_uid
    return [file for file in files if file.exists() and file.stat().st_uid != owner]
