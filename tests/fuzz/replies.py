# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Targets of what other programs answer: Orthanc and its plugin, a worklist, an archive, an HL7 listener.

Nothing goes over a network: what is tried is what is made of their answers.
"""

from __future__ import annotations

import contextlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import is_dataclass
from types import UnionType
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import httpx

from appliance.delivery.destinations.destination import AwayError, NotTakenError, RejectedError, UnfinishedError
from appliance.delivery.destinations.dicomweb import _stored
from appliance.delivery.destinations.hl7 import acknowledged
from appliance.delivery.destinations.ups import Ups
from appliance.errors import ApplianceError
from appliance.intake.doorbell import Bell, Ring
from appliance.orthanc import Orthanc
from appliance.orthanc_records import ChangePage
from appliance.sections.delivery import destination_settings
from appliance.sections.orthanc import OrthancSettings
from tests.appliance.delivery.parcels import HEADER, parcel
from tests.fuzz.mutations import spoil_bytes, spoil_json

_ID: Final = "25fe7e2a-f046592c-9ec10d9f-4cd0f6a1-01234567"
_FORESEEN: Final = (AwayError, NotTakenError, RejectedError, UnfinishedError)


class Acknowledgements:
    """What an HL7 listener answers."""

    name = "hl7"
    _SOUND: Final = tuple(
        "\r".join(lines).encode()
        for lines in (
            ("MSH|^~\\&|RIS|H|APP|H|20260101||ACK^R01^ACK|1|P|2.5", "MSA|AA|K1"),
            (
                "MSH|^~\\&|RIS|H|APP|H|20260101||ACK|1|P|2.3",
                "MSA|AR|K1|no such patient \\T\\ order||^|204^Unknown key identifier^HL70357",
            ),
            ("MSH|^~\\&|RIS||||20260101||ACK|1|P|2.5.1", "MSA|AE|K1", "ERR||PID^1^3|204^Unknown^HL70357|E|||Müller"),
        )
    )

    def make(self, rng: random.Random) -> bytes:
        return spoil_bytes(rng, rng.choice(self._SOUND))

    def feed(self, data: bytes) -> None:
        with contextlib.suppress(*_FORESEEN):
            acknowledged(data, "K1", HEADER)

    def check_next(self) -> None:
        assert acknowledged(self._SOUND[0], "K1", HEADER) == "AA"


class Workitems:
    """What a worklist answers to a search, and an archive to what was sent to it."""

    name = "dicomjson"
    _WORKITEM: Final = {
        "00080018": {"vr": "UI", "Value": ["2.25.1"]},
        "00741000": {"vr": "CS", "Value": ["SCHEDULED"]},
        "00741200": {"vr": "CS", "Value": ["LOW"]},
        "0040A370": {"vr": "SQ", "Value": [{"0020000D": {"vr": "UI", "Value": ["1.2"]}}]},
    }
    _STORED: Final = {
        "00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]},
        "00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [272]}}]},
    }

    def __init__(self) -> None:
        settings: Any = destination_settings({"kind": "ups", "url": "http://127.0.0.1:9", "timeout_s": 5})
        self._ups = Ups(settings)

    def make(self, rng: random.Random) -> bytes:
        searched = rng.random() < 0.6
        sound: Any = [self._WORKITEM] * rng.choice((1, 2, 3)) if searched else self._STORED
        return bytes([searched]) + spoil_json(rng, sound)

    def feed(self, data: bytes) -> None:
        with contextlib.suppress(*_FORESEEN):
            if not data[0]:
                _stored(httpx.Response(200, content=data[1:]), 1)
                return
            with httpx.Client(transport=httpx.MockTransport(self._answer(data[1:]))) as client:
                found = self._ups._about("1.2", self._ups._find(client, "1.2"))
                self._ups._raise(parcel(), client, found)
                self._ups._restore(parcel(), client, found)

    @staticmethod
    def _answer(found: bytes) -> Callable[[httpx.Request], httpx.Response]:
        return lambda request: httpx.Response(200, content=found)

    def check_next(self) -> None:
        self.feed(b"\1" + json.dumps([self._WORKITEM]).encode())


def _is_of(value: object, wanted: Any) -> bool:
    """Return whether a value, with all that is in it, is of an annotated type."""
    origin, inner = get_origin(wanted), get_args(wanted)
    if wanted is Any or wanted is None:
        return wanted is Any or value is None
    if origin in (Union, UnionType):
        return any(_is_of(value, one) for one in inner)
    if origin is tuple and inner[-1] is not Ellipsis:
        return isinstance(value, tuple) and len(value) == len(inner) and all(map(_is_of, value, inner))
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            _is_of(name, inner[0]) and _is_of(one, inner[1]) for name, one in value.items()
        )
    if origin in (list, set, tuple):
        return isinstance(value, origin) and all(_is_of(one, inner[0]) for one in value)
    if is_dataclass(wanted):
        hints = get_type_hints(wanted)
        return isinstance(value, wanted) and all(_is_of(getattr(value, name), hints[name]) for name in hints)
    return isinstance(value, wanted) and (wanted is bool or not isinstance(value, bool))


class OrthancAnswers:
    """What answers at Orthanc's address."""

    name = "orthanc"
    _SOUND: Final[tuple[tuple[str, tuple[Any, ...], Any], ...]] = (
        ("system", (), {"ApiVersion": 17, "Version": "1.10.1", "HasLabels": True}),
        ("now", (), "20260101T101112"),
        ("plugins", (), ["hemorrhage"]),
        (
            "changes",
            (0, 5),
            {
                "Changes": [{"Seq": 1, "ChangeType": "NewInstance", "ID": _ID, "Date": "20260101T101112"}],
                "Last": 1,
                "Done": True,
            },
        ),
        ("series_ids", (), [_ID]),
        (
            "series",
            (_ID,),
            {
                "ID": _ID,
                "ParentStudy": _ID,
                "MainDicomTags": {"SeriesInstanceUID": "1.2", "Modality": "CT"},
                "Instances": [_ID],
                "LastUpdate": "20260101T101112",
            },
        ),
        ("study", (_ID,), {"ID": _ID, "MainDicomTags": {"StudyInstanceUID": "1.2"}, "Series": [_ID]}),
        ("series_of_instance", (_ID,), {"ParentSeries": _ID}),
        ("sop_instance_uid", (_ID,), {"MainDicomTags": {"SOPInstanceUID": "1.2"}}),
        ("studies_of_patient", (_ID,), {"ParentPatient": _ID, "Studies": [_ID]}),
        ("find_study", ("1.2",), [{"ID": _ID, "Type": "Study", "Path": "/studies/1"}]),
        ("header", (_ID,), {"PatientName": "A^B", "RequestAttributesSequence": [{"AccessionNumber": "1"}]}),
        ("instance_metadata", (_ID,), {"RemoteAET": "CT", "ReceptionDate": "20260101T101112"}),
        ("labels", (f"studies/{_ID}",), ["hemorrhage"]),
        ("store", (b"x",), {"ID": _ID, "Status": "Success"}),
        ("stored_bytes", (), {"TotalDiskSize": "12"}),
        ("is_protected", (_ID,), {"ParentPatient": _ID}),
    )

    def __init__(self) -> None:
        self._orthanc = Orthanc(OrthancSettings())
        self._body = b""
        self._orthanc._connection.transfer = lambda *_args, **_named: self._body  # type: ignore[method-assign]
        answers = httpx.MockTransport(lambda _request: httpx.Response(200, content=self._body))
        self._orthanc._client._transport = answers

    def make(self, rng: random.Random) -> bytes:
        number = rng.randrange(len(self._SOUND))
        return bytes([number]) + spoil_json(rng, self._SOUND[number][2])

    def feed(self, data: bytes) -> None:
        name, arguments, _ = self._SOUND[data[0] % len(self._SOUND)]
        self._body = data[1:]
        with contextlib.suppress(ApplianceError):
            self._assert_as_promised(name, getattr(self._orthanc, name)(*arguments))

    def check_next(self) -> None:
        for name, arguments, sound in self._SOUND:
            self._body = json.dumps(sound).encode()
            self._assert_as_promised(name, getattr(self._orthanc, name)(*arguments))

    @classmethod
    def _assert_as_promised(cls, name: str, returned: object) -> None:
        """Raise `AssertionError` unless every value has the type and range that the client's signatures promise."""
        assert _is_of(returned, get_type_hints(getattr(Orthanc, name))["return"]), f"{name} returned {returned!r:.200}"
        if isinstance(returned, ChangePage):
            numbers = [returned.last, *(change.seq for change in returned.changes)]
            assert all(0 <= one < 2**63 for one in numbers), "a cursor that no ledger keeps"
        if name in ("now", "stored_bytes"):
            assert isinstance(returned, int | float)
            assert 0 <= returned < 2**63


class Rings:
    """What the plugin, or anybody on this machine, says has arrived."""

    name = "rings"
    _SOUND: Final = {"instances": {_ID: 1.5}, "series": {_ID: "stable"}, "studies": {}, "orthanc": None, "sent": 2.0}

    def __init__(self) -> None:
        self._bell = Bell()

    def make(self, rng: random.Random) -> bytes:
        return spoil_json(rng, self._SOUND)

    def feed(self, data: bytes) -> None:
        try:
            ring = Ring.of(json.loads(data))
        except (ValueError, RecursionError):
            return
        self._bell.ring(ring)
        for at in self._bell.take().stamps.values():
            float(at)

    def check_next(self) -> None:
        self._bell.ring(Ring.of(self._SOUND))
        assert list(self._bell.take().stamps) == [_ID]
