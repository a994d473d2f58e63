# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Targets of what lies in files: headers alone, results as Orthanc gives them back, and the site's own files."""

from __future__ import annotations

import contextlib
import gzip
import io
import random
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydicom import Dataset, dcmread

from appliance.backup_file import pack, unpacked
from appliance.coverage.coverage import coverage
from appliance.delivery.store import _is_whole
from appliance.errors import ApplianceError, RefusedError
from appliance.findings.find import find
from appliance.imaging.instances import parse_instance
from appliance.imaging.read import read_volume
from appliance.imaging.stacks import stacks
from appliance.reading.lesions import Criteria
from appliance.results.report import report
from appliance.settings import Settings
from appliance.settings_sources import load_settings
from appliance.web.accounts import Role, new_account, read_accounts, write_accounts
from appliance.web.study import _png_of
from tests.appliance.imaging import scans
from tests.appliance.phantom import stroke_reading
from tests.fuzz.mutations import spoil_bytes

_SLICES: Final = 12


class Headers:
    """One file, as intake looks at each that arrives."""

    name = "headers"

    def __init__(self, files: list[bytes]) -> None:
        self._files = files
        self._sound = [self._told(file) for file in files]

    def make(self, rng: random.Random) -> bytes:
        return spoil_bytes(rng, rng.choice(self._files))

    def feed(self, data: bytes) -> None:
        try:
            header = parse_instance("0", data).header
        except RefusedError:
            return
        for element in header:  # every value that is kept can be read
            str(element.value)

    def check_next(self) -> None:
        assert [self._told(file) for file in self._files] == self._sound, "a sound header is read otherwise than before"

    @staticmethod
    def _told(file: bytes) -> str:
        return str(parse_instance("0", file).header)


def answer_objects() -> list[Dataset]:
    """Return the objects of an answer about a small head with a hemorrhage."""
    written = {str(number): scans.file(image) for number, image in enumerate(scans.series(scans.head(_SLICES)))}
    (stack,) = stacks([parse_instance(ref, data) for ref, data in written.items()])
    volume = read_volume(stack, written.__getitem__)
    reading = stroke_reading(volume.slices)
    made = report(
        volume,
        reading,
        find(reading, volume, Criteria.of(Settings().finding, 0.5)),
        covered=coverage(volume, stack, [stack], written.__getitem__),
        settings=Settings(),
        created=datetime(2026, 3, 1, tzinfo=UTC),
    )
    return [dataset for _, dataset in made.make_datasets()]


class ReadBack:
    """An answer's objects as Orthanc gives them back, which may be other than what was stored; key images are shown."""

    name = "readback"

    def __init__(self) -> None:
        self._objects = answer_objects()
        self._files = [scans.file(dataset) for dataset in self._objects]

    def make(self, rng: random.Random) -> bytes:
        number = rng.randrange(len(self._files))
        return bytes([number]) + spoil_bytes(rng, self._files[number])

    def feed(self, data: bytes) -> None:
        number, held = data[0] % len(self._files), data[1:]
        sent, dataset = self._files[number], self._objects[number]
        if _is_whole(held, sent, dataset) and held != sent:
            syntax = dcmread(io.BytesIO(held)).file_meta.TransferSyntaxUID
            assert syntax != dataset.file_meta.TransferSyntaxUID, "half an object was taken for whole"
        with contextlib.suppress(ApplianceError):
            _png_of(held)

    def check_next(self) -> None:
        for file, dataset in zip(self._files, self._objects, strict=True):
            assert _is_whole(file, file, dataset)
            if "PixelData" in dataset and dataset.Modality == "OT":
                assert _png_of(file).startswith(b"\x89PNG")


class SiteFiles:
    """The files that a site writes or brings: settings with rules, accounts, a backup."""

    name = "sitefiles"
    _SETTINGS: Final = b"""
state_dir = "var/state"
[orthanc]
url = "http://127.0.0.1:8043"
senders = ["CT1@10.0.0.21"]
[intake]
quiet_s = 3
[access]
host = "10.0.0.7"
clear_text = true
[destinations.ris]
kind = "hl7"
host = "10.0.0.9"
port = 2575
[[rules]]
name = "hemorrhage"
when = 'answer == "present" && total_ml > 3.0'
actions = [{ to = "ris" }]
"""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "file"
        write_accounts(self._file, [new_account("anna", Role.ACT)[0], new_account("prom", Role.METRICS)[0]])
        self._kinds: tuple[tuple[bytes, Callable[[], object]], ...] = (
            (self._SETTINGS, lambda: load_settings(self._file)),
            (self._file.read_bytes(), lambda: read_accounts(self._file)),
            (self._make_backup(), self._read_backup),
        )

    def _make_backup(self) -> bytes:
        """Return a backup, unpacked to its tar: of a spoiled gzip only the checksum would be tried."""
        backup = self._file.with_name("backup")
        pack({"accounts.toml": self._file}, "2026-03-01T00:00:00Z", backup)
        return gzip.decompress(backup.read_bytes())

    def _read_backup(self) -> None:
        self._file.write_bytes(gzip.compress(self._file.read_bytes(), 1))
        with unpacked(self._file, self._file.parent):
            pass

    def make(self, rng: random.Random) -> bytes:
        kind = rng.choice((0, 1, 1, 1, 2))
        return bytes([kind]) + spoil_bytes(rng, self._kinds[kind][0])

    def feed(self, data: bytes) -> None:
        self._file.write_bytes(data[1:])
        with contextlib.suppress(ApplianceError):
            self._kinds[data[0] % len(self._kinds)][1]()

    def check_next(self) -> None:
        for sound, read in self._kinds:
            self._file.write_bytes(sound)
            read()
