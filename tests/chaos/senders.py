# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Scanners: they send simulated studies by C-STORE, each in its own way, until Orthanc has confirmed every image."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from appliance.errors import UnavailableError
from appliance.settings import Settings
from deploy.local.storescu import send
from tests.appliance.stand_in import head_series

ROOT: Final = "1.2.826.0.1.3680043.8.498."
_SENT_FOR_S: Final = 60.0
_AGAIN_AFTER_S: Final = 0.5
_PADDING: Final = struct.pack("<HH2sHI", 0xFFFC, 0xFFFC, b"OB", 0, 2**14) + bytes(2**14)
"""Data Set Trailing Padding. A slice of a scanner has some hundred kB. What fits into its buffer of 8 KiB Orthanc 1.10
takes for written before it is: with a full disk it confirms such a file and keeps nothing of it."""


@dataclass(frozen=True)
class Sent:
    """A study that Orthanc has confirmed: its UID, its images, who sent it, and whether it can be read."""

    uid: str
    images: int
    sender: str
    readable: bool


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
        file.write_bytes(data + _PADDING)
        files.append(file)
    return study, readable, files


def send_study(settings: Settings, folder: Path, random: Random, number: int, give_up_at: float) -> Sent | None:
    """Send a study until all of it is confirmed; None when that did not come before `give_up_at` (monotonic)."""
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
