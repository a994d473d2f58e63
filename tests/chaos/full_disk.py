# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""`python -m tests.chaos.full_disk`: what Orthanc confirms on a full disk, and how much of that it still has.

A disk is filled but for some room, then images of one size are sent by C-STORE. An image counts as kept when the file
on the disk holds all of it. The index lies on another disk, so that only the files are short of room.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table

from appliance.orthanc import Orthanc
from appliance.settings import Settings
from deploy.local.orthanc import OrthancProcess
from deploy.local.ports import with_free_ports
from tests.appliance.stand_in import head_series
from tests.chaos.senders import ROOT, with_bulk

IMAGES = 20
_DISK_MIB = 48
_BULK = (0, 2**14, 2**19)
_ROOM_FOR = 10.5
"""How many images find room; the last has only half the room it needs."""


def main() -> int:
    """Print a row for each size; return 1 where this user may not mount a disk."""
    table = Table("Orthanc", "bytes an image", "sent", "confirmed", "kept", "confirmed and not kept")
    with tempfile.TemporaryDirectory(prefix="full-") as name:
        for number, bulk in enumerate(_BULK):
            folder = Path(name) / str(number)
            try:
                table.add_row(*map(str, _try(folder, bulk)))
            except PermissionError as error:
                print(error, file=sys.stderr)
                return 1
    Console(highlight=False).print(table)
    return 0


def _try(folder: Path, bulk: int) -> tuple[str, int, int, int, int, int]:
    series = f"{ROOT}{bulk + 1}"
    files = []
    folder.mkdir(parents=True)
    for index, data in enumerate(head_series(f"{series}.1", IMAGES, series=series)):
        files.append(folder / f"{index:03}.dcm")
        files[-1].write_bytes(with_bulk(data, bulk))
    size = files[0].stat().st_size
    with small_disk(folder / "disk", _DISK_MIB) as disk:
        settings = with_free_ports(Settings(), folder / "ports")
        index_elsewhere = {"IndexDirectory": str(folder / "index")}
        with OrthancProcess(settings, disk / "orthanc", doorbell=False, overrides=index_elsewhere):
            before = _stored(disk / "orthanc" / "storage")
            with fill(disk, int(size * _ROOM_FOR)):
                confirmed = _send(files, settings)
                kept = len(_stored(disk / "orthanc" / "storage", size) - before)
            version = str(Orthanc(settings.orthanc).system()["Version"])
    return version, size, len(files), confirmed, kept, confirmed - kept


def _send(files: list[Path], settings: Settings) -> int:
    """Send each image in a separate association; return how many were confirmed."""
    orthanc = settings.orthanc
    called = ["-aet", "SCANNER", "-aec", orthanc.aet, orthanc.dicom_host, str(orthanc.dicom_port)]
    sent = [subprocess.run(["storescu", *called, file], capture_output=True, check=False) for file in files]
    return sum(one.returncode == 0 for one in sent)


def _stored(storage: Path, at_least: int = 0) -> set[Path]:
    return {file for file in storage.rglob("*") if file.is_file() and file.stat().st_size >= at_least}


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Path]:
    """Mount a disk of a fixed size. Raises `PermissionError` for a user who may not."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        raise PermissionError(f"no disk can be mounted by this user: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def fill(disk: Path, room: int = 0) -> Iterator[None]:
    """Fill a disk except for `room` bytes, and free it again."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(2**16))
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(2**12))
            file.truncate(max(0, file.tell() - room))
        yield
    finally:
        filler.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
