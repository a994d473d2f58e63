# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The targets of spoiled input: the reading of DICOM files, the writing of results from their headers, HTTP, and those
of `held_files` and `replies`.

A target makes one input and, when it is tried, raises only what the service foresees for bad input. Anything else is a
finding; so is an input that takes long or much memory, and one after which the sound study is read differently.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import string
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from appliance.coverage.coverage import coverage
from appliance.errors import RefusedError
from appliance.findings.find import find
from appliance.imaging.check import check
from appliance.imaging.flaws import flaws
from appliance.imaging.instances import Instance, parse_instance
from appliance.imaging.read import read_volume
from appliance.imaging.stacks import stacks
from appliance.reading.lesions import Criteria
from appliance.results.report import report
from appliance.selection.select import select
from appliance.settings import Settings
from appliance.web.accounts import Accounts, Role, new_account, write_accounts
from appliance.web.login import Login
from tests.appliance.imaging import scans
from tests.appliance.phantom import stroke_reading
from tests.appliance.web.site import SERIES, Site
from tests.fuzz.held_files import Headers, ReadBack, SiteFiles
from tests.fuzz.mutations import ODD_BYTES, spoil_bytes, spoil_elements
from tests.fuzz.replies import Acknowledgements, OrthancAnswers, Rings, Workitems

SLICES: Final = 12
SETTINGS: Final = Settings()


class Target(Protocol):
    """A target. `make` returns an input from a random stream, `feed` tries one."""

    name: str

    def make(self, rng: random.Random) -> bytes: ...

    def feed(self, data: bytes) -> None: ...

    def check_next(self) -> None:
        """Raise `AssertionError` when the target no longer takes sound input as before."""


def sound_files() -> list[list[bytes]]:
    """Return the files of one small series in each of some transfer syntaxes."""
    plain = scans.series(scans.head(SLICES))
    made = [[scans.file(image) for image in plain]]
    for syntax in (ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless):
        files = []
        for image in scans.series(scans.head(SLICES)):
            if syntax is RLELossless:
                image.compress(RLELossless)
            elif syntax is ExplicitVRBigEndian:
                words = np.frombuffer(image.PixelData, "<u2").astype(">u2")
                image.PixelData = words.tobytes()
                image.file_meta.TransferSyntaxUID = syntax
            else:
                image.file_meta.TransferSyntaxUID = syntax
            files.append(_write(image))
        made.append(files)
    return made


def _write(image: Dataset) -> bytes:
    try:
        return scans.file(image)
    except Exception:  # pydicom writes a byte order of its own choice only when asked
        import io

        stream = io.BytesIO()
        image.save_as(stream, implicit_vr=False, little_endian=False)
        return stream.getvalue()


class Files:
    """A series of which one file is spoiled, from parsing to the volume."""

    name = "files"

    def __init__(self) -> None:
        self._series = sound_files()
        self._parsed = [
            [parse_instance(str(number), data) for number, data in enumerate(files)] for files in self._series
        ]
        self._sound = self._digest()

    def make(self, rng: random.Random) -> bytes:
        syntax = rng.randrange(len(self._series))
        spoil: Callable[[random.Random, bytes], bytes] = rng.choice((spoil_bytes, spoil_elements))
        number = rng.randrange(SLICES)
        return bytes([syntax, number]) + spoil(rng, self._series[syntax][number])

    def feed(self, data: bytes) -> None:
        syntax, number = data[0] % len(self._series), data[1] % SLICES
        try:
            spoiled = parse_instance(str(number), data[2:])
        except RefusedError:
            return
        instances = [*self._parsed[syntax]]
        instances[number] = spoiled
        files = {str(index): one for index, one in enumerate(self._series[syntax])} | {str(number): data[2:]}
        self.read(instances, files.__getitem__)

    def read(self, instances: list[Instance], fetch: Callable[[str], bytes]) -> None:
        found = stacks(instances)
        chosen = select(found, SETTINGS.selection)
        for stack in found:
            try:
                volume = read_volume(stack, fetch)
                inside = check(volume)
            except RefusedError:
                continue
            if stack.geometry is not None:
                flaws(volume, stack.geometry, inside.slices)
                coverage(volume, stack, found, fetch)
        str([judgement.reasons_for for judgement in chosen.judgements])

    def check_next(self) -> None:
        assert self._digest() == self._sound, "a sound series is read otherwise than before"

    def _digest(self) -> str:
        digest = hashlib.sha256()
        for files in self._series:
            instances = [parse_instance(str(number), data) for number, data in enumerate(files)]
            for stack in stacks(instances):
                try:
                    digest.update(read_volume(stack, lambda ref, files=files: files[int(ref)]).hu.tobytes())  # type: ignore[misc]
                except RefusedError as error:
                    digest.update(str(error).encode())
        return digest.hexdigest()


class Results:
    """The writing of an answer about a series whose headers all have the same spoiled elements."""

    name = "results"

    def __init__(self) -> None:
        self._images = scans.series(scans.head(SLICES))
        self._file = scans.file(self._images[0])

    def make(self, rng: random.Random) -> bytes:
        return spoil_elements(rng, self._file)

    def feed(self, data: bytes) -> None:
        try:
            spoiled = parse_instance("0", data).header
        except RefusedError:
            return
        files = {}
        for number, image in enumerate(self._images):
            foreign = dcmread_of(scans.file(image))
            for element in spoiled:
                if element.keyword not in _OF_EACH_SLICE:
                    foreign[element.tag] = element
            for keyword in ("PatientName", "PatientID", "StudyDate", "ConvolutionKernel", "SeriesDescription"):
                if keyword not in spoiled and keyword in foreign:
                    delattr(foreign, keyword)
            files[str(number)] = (foreign, image)
        instances = [Instance(ref, header) for ref, (header, _) in files.items()]
        written = {ref: scans.file(image) for ref, (_, image) in files.items()}
        for stack in stacks(instances):
            try:
                volume = read_volume(stack, written.__getitem__)
            except RefusedError:
                continue
            if volume.slices < SLICES:
                continue
            reading = stroke_reading(volume.slices)
            finding = find(reading, volume, Criteria.of(SETTINGS.finding, 0.5))
            made = report(
                volume,
                reading,
                finding,
                covered=coverage(volume, stack, [stack], written.__getitem__),
                settings=SETTINGS,
                created=datetime(2026, 3, 1, tzinfo=UTC),
            )
            for _, dataset in made.make_datasets():
                scans.file(dataset)
            assert not made.unmade, f"could not be made: {made.unmade}"

    def check_next(self) -> None:
        self.feed(self._file)


_OF_EACH_SLICE: Final = frozenset(
    ("SOPInstanceUID", "ImagePositionPatient", "InstanceNumber", "PixelData", "Rows", "Columns", "SOPClassUID")
)


def dcmread_of(data: bytes) -> Dataset:
    """Return the header of a file, as the appliance keeps it."""
    return parse_instance("", data).header


class Http:
    """Every route, asked by other machines and by this one."""

    name = "http"
    _PATHS: Final = (
        "/",
        "/board",
        "/queue",
        "/deliveries",
        "/neighbours",
        "/model",
        "/log",
        "/static/style.css",
        f"/studies/{SERIES}",
        f"/studies/{SERIES}/answers/1/opinion",
        f"/studies/{SERIES}/answers/1/key-images/1.png",
        "/deliveries/1/retry",
        "/deliveries/1/drop",
        "/status",
        "/metrics",
        "/doorbell",
        "/health/live",
        "/health/ready",
        f"/series/{SERIES}/analyze",
        "/series/x/analyze",
        "/series//analyze",
        "/docs",
    )
    _HEADERS: Final = (
        "host",
        "origin",
        "authorization",
        "content-type",
        "content-length",
        "sec-fetch-site",
        "hx-request",
        "x-seen",
        "x-odd",
    )
    _QUERIES: Final = ("limit", "study", "limit=1&study", "before", "group=found&after", "to", "x")
    _FORMS: Final = (
        b"stance=agrees&seen=0",
        b"stance=disagrees&reason=false+alarm&note=%F0%9F%A7%A0&seen=1",
        b"stance=taken+back&back=//evil.example",
        b"stance=&seen=99999999999",
    )

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        self._site = Site(folder)
        self._site.answered(SERIES)
        account, self._secret = new_account("anna", Role.ACT)
        write_accounts(folder / "accounts.toml", [account])
        inner: Any = self._site.client.app
        self._apps = (inner, Login(inner, Accounts(folder / "accounts.toml"), self._site.metrics, self._site.looks))

    def make(self, rng: random.Random) -> bytes:
        path = rng.choice(self._PATHS)
        if rng.random() < 0.3:
            path += "".join(rng.choice(string.printable) for _ in range(rng.randrange(40)))
        query = ""
        if rng.random() < 0.6:
            value = rng.choice(ODD_BYTES).decode("latin1") if rng.random() < 0.7 else SERIES
            query = (
                f"{rng.choice(('limit', 'study', 'limit=1&study', 'before', 'group=found&after', 'to', 'x'))}={value}"
            )
        headers = [["host", "127.0.0.1:8044"]] if rng.random() < 0.9 else []
        if rng.random() < 0.5:
            headers.append(["authorization", f"Bearer {self._secret}"])
        for _ in range(rng.randrange(4)):
            headers.append([rng.choice(self._HEADERS), rng.choice(ODD_BYTES).decode("latin1")])
        ring: Any = {
            "instances": {rng.choice((SERIES, "x", "")): rng.choice((1.5, -1, 1e308, "1", None, [], True))},
            "series": {SERIES: rng.choice(("stable", "deleted", 3, None))},
            "studies": {},
            "orthanc": rng.choice((None, "started", "odd", 1)),
        }
        body = json.dumps(ring).encode()
        if path.endswith(("/opinion", "/retry", "/drop")) and rng.random() < 0.8:
            body = rng.choice(self._FORMS)
            headers += [["origin", "http://127.0.0.1:8044"], ["content-type", "application/x-www-form-urlencoded"]]
        if rng.random() < 0.5:
            body = spoil_bytes(rng, body)
        request = {
            "app": rng.randrange(2),
            "method": rng.choice(("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE", "X\x00")),
            "path": path,
            "query": query,
            "headers": headers,
            "body": body.decode("latin1"),
        }
        return json.dumps(request).encode()

    def feed(self, data: bytes) -> None:
        request = json.loads(data)
        status = asyncio.run(self._ask(request))
        assert status < 500, f"answered {status}"

    async def _ask(self, request: dict[str, Any]) -> int:
        statuses: list[int] = []

        bodies = 0

        async def receive() -> dict[str, Any]:
            nonlocal bodies
            bodies += 1
            if bodies > 1:  # the client has sent everything and waits
                await asyncio.Event().wait()
            return {"type": "http.request", "body": request["body"].encode("latin1"), "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request["method"],
            "scheme": "http",
            "path": request["path"],
            "raw_path": request["path"].encode("utf-8", "replace"),
            "query_string": request["query"].encode("latin1", "replace"),
            "root_path": "",
            "headers": [(name.encode(), value.encode("latin1")) for name, value in request["headers"]],
            "client": ("10.0.0.9", 1),
            "server": ("127.0.0.1", 8044),
        }
        await self._apps[request["app"]](scope, receive, send)
        return statuses[0]

    def check_next(self) -> None:
        assert self._site.client.get("/status").status_code == 200
        self._site.bell.take()


TARGETS: Final[dict[str, Callable[[], Target]]] = {
    "files": Files,
    "results": Results,
    "http": Http,
    "headers": lambda: Headers([file for files in sound_files() for file in files[:2]]),
    "readback": ReadBack,
    "orthanc": OrthancAnswers,
    "rings": Rings,
    "dicomjson": Workitems,
    "hl7": Acknowledgements,
    "sitefiles": SiteFiles,
}
"""Each kind of target by its name."""
SHARES: Final = {
    "headers": 5100,
    "http": 1300,
    "orthanc": 1000,
    "dicomjson": 800,
    "hl7": 500,
    "rings": 800,
    "readback": 300,
    "files": 150,
    "sitefiles": 45,
    "results": 5,
}
"""How many of ten thousand inputs each gets: writing results takes a thousand times as long as refusing a file."""
