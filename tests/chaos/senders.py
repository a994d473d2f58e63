# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Scanners: they send simulated studies by C-STORE, each in its own way, until Orthanc has confirmed every image."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from pydicom import dcmread, dcmwrite

from appliance.errors import UnavailableError
from appliance.settings import Settings
from deploy.local.storescu import send
from tests.appliance.stand_in import head_series

ROOT: Final = "1.2.826.0.1.3680043.8.498."
_SENT_FOR_S: Final = 60.0
_AGAIN_AFTER_S: Final = 0.5
_BULK: Final = 2**15
"""Bytes by which an image is longer than its few pixels. A slice of a scanner has some hundred kB; an image as small as
the tests' fits into the buffer that Orthanc writes by, and is confirmed on a full disk though nothing of it is kept
(`full_disk`)."""


@dataclass(frozen=True)
class Sent:
    """A study that Orthanc has confirmed: its UID, its images, who sent it, and whether it can be read.

    `kept` is how many of its images Orthanc gave back whole when it had confirmed the last one; None: not asked.
    """

    uid: str
    images: int
    sender: str
    readable: bool
    kept: int | None = None

    @property
    def is_kept(self) -> bool:
        """Whether Orthanc kept all that it confirmed."""
        return self.kept is None or self.kept == self.images


def _at_once(files: Sequence[Path], _: Random) -> list[Sequence[Path]]:
    return [files]


def _slow(files: Sequence[Path], random: Random) -> list[Sequence[Path]]:
    cut = random.randrange(1, len(files))
    return [files[:cut], files[cut:]]


def _shuffle(files: Sequence[Path], random: Random) -> list[Sequence[Path]]:
    return [random.sample(files, len(files))]


def _broken_off(files: Sequence[Path], random: Random) -> list[Sequence[Path]]:
    """An association that breaks in the middle: the sender begins again from the start."""
    return [files[: random.randrange(1, len(files))], files]


WAYS: Final[dict[str, Callable[[Sequence[Path], Random], list[Sequence[Path]]]]] = {
    "at once": _at_once,
    "slow": _slow,
    "shuffled": _shuffle,
    "broken off": _broken_off,
}


def with_bulk(data: bytes, size: int) -> bytes:
    """Return a DICOM file made longer by a private element behind its pixels, because Orthanc drops padding."""
    if not size:
        return data
    dataset = dcmread(io.BytesIO(data))
    dataset.private_block(0x7FE1, "BULK", create=True).add_new(0x01, "OB", bytes(size))
    written = io.BytesIO()
    dcmwrite(written, dataset)
    return written.getvalue()


def write_study(folder: Path, random: Random, number: int) -> tuple[str, bool, list[Path]]:
    """Write a study; return its UID, whether it can be read, and its files. One in eight is a bone kernel."""
    study, series = (f"{ROOT}{random.getrandbits(96)}" for _ in range(2))
    readable = number % 8 != 7
    attributes = {} if readable else {"ConvolutionKernel": "H70h", "SeriesDescription": "bone"}
    folder.mkdir()
    files = []
    for index, data in enumerate(
        head_series(study, random.randrange(14, 22), series=series, PatientID=f"CHAOS{number}", **attributes)
    ):
        file = folder / f"{index:03}.dcm"
        file.write_bytes(with_bulk(data, _BULK))
        files.append(file)
    return study, readable, files


def send_study(settings: Settings, folder: Path, random: Random, number: int, give_up_at: float) -> Sent | None:
    """Send a study until all of it is confirmed; return None if it is not by `give_up_at` (monotonic)."""
    uid, readable, files = write_study(folder, random, number)
    way = random.choice([*WAYS])
    for part in WAYS[way](files, random):
        while True:
            try:
                send(part, settings.orthanc, timeout_s=_SENT_FOR_S)
                break
            except UnavailableError:
                if time.monotonic() > give_up_at:
                    return None
                time.sleep(_AGAIN_AFTER_S)
        time.sleep(random.uniform(0, 3) if way in ("slow", "broken off") else 0)
    return Sent(uid, len(files), way, readable)
