# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A client of Orthanc: its change log, what it holds, the bytes of an instance, storing and deleting.

Questions go through pyorthanc. Whole DICOM files do not: they go over the standard library's keep-alive connections,
one a thread, because reading 40 slices of 512 x 512 takes 8 ms that way and 145 ms through httpx, pyorthanc's
transport. Nothing here decides anything about a study.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pyorthanc

from appliance.errors import ApplianceError, Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.sections.orthanc import OrthancSettings
from appliance.transport import BoundedTransport, TooLongError

_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


class OrthancError(ApplianceError):
    """Orthanc answered, and refused what it was asked; `status` is its HTTP status."""

    def __init__(self, message: str, status: int = http.HTTPStatus.OK) -> None:
        super().__init__(message)
        self.status = int(status)


class TurnedDownError(UnavailableError):
    """Orthanc does not accept our user and password; `status` is its HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = int(status)


class NotThereError(OrthancError):
    """Orthanc does not hold (any more) what was asked for."""


class AnswerTooLongError(OrthancError):
    """Orthanc's answer was longer than the settings allow, and was not taken."""


class StoreStatus(StrEnum):
    """What Orthanc says about an instance that was sent to it."""

    SUCCESS = "Success"
    ALREADY_STORED = "AlreadyStored"


@dataclass(frozen=True)
class Change:
    """One entry of Orthanc's change log; `date` is Unix time in whole seconds, all that Orthanc keeps."""

    seq: int
    type: str
    resource: str
    date: float

    @property
    def fingerprint(self) -> str:
        """Tells this entry from one with the same number in a restored or fresh database."""
        return f"{self.type} {self.resource} {self.date:.0f}"


@dataclass(frozen=True)
class ChangePage:
    """Entries after a cursor; `last` is the cursor that follows them, and `done` says that there are no more yet."""

    changes: tuple[Change, ...]
    last: int
    done: bool


@dataclass(frozen=True)
class HeldSeries:
    """A series that Orthanc holds; `last_update` is Unix time.

    `modality` is what the first instance that came said, empty when it said nothing: of a series in which there are
    several kinds of object it does not tell. So it is with `tags`, Orthanc's main DICOM tags of the series by keyword.
    """

    id: str
    study: str
    uid: str
    modality: str
    instances: tuple[str, ...]
    last_update: float
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class HeldStudy:
    """A study that Orthanc holds; `tags` are its main DICOM tags by keyword, as the first instance that came said."""

    id: str
    uid: str
    series: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StoreRefusal:
    """That Orthanc could not store what it was sent: when (by the monotonic clock), and what it said."""

    at: float
    reason: str


def is_orthanc_id(text: str) -> bool:
    """Say whether `text` has the form of an Orthanc identifier (five groups of eight hexadecimal digits)."""
    return _ORTHANC_ID.fullmatch(text) is not None


def orthanc_time(text: str) -> float:
    """Return the Unix time of Orthanc's `YYYYMMDDTHHMMSS`, which is UTC; 0 when there is none."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


class Orthanc:
    """A client of one Orthanc; may be used from several threads at once.

    Every method raises `UnavailableError` when Orthanc does not answer, answers with a fault of its own (5xx) or
    turns our credentials down, `NotThereError` on 404 and `OrthancError` on any other refusal, and on an answer that
    is longer than `orthanc.largest_answer_mib`. A file that is longer raises `RefusedError` (TOO_LARGE) instead.
    """

    def __init__(self, settings: OrthancSettings) -> None:
        self.url = settings.url.rstrip("/")
        self._settings = settings
        self._client = pyorthanc.Orthanc(
            self.url,
            settings.username,
            settings.password,
            return_raw_response=True,
            timeout=settings.timeout_s,
            transport=BoundedTransport(settings.largest_answer_mib * 2**20),
            trust_env=False,
        )
        self._largest = settings.largest_answer_mib * 2**20
        parts = urlsplit(self.url)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port, parts.path
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        credentials = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._headers = {"Authorization": f"Basic {credentials}"} if settings.username else {}
        self._local = threading.local()
        self.store_refusal: StoreRefusal | None = None

    def close(self) -> None:
        """Close the connections of pyorthanc and of the calling thread."""
        self._client.close()
        self._forget_connection()

    # What Orthanc holds

    def system(self) -> dict[str, Any]:
        """Return Orthanc's description of itself (version, AE title, ports)."""
        return self._ask_for_object(self._client.get_system)

    def now(self) -> float:
        """Return Orthanc's time (Unix time in whole seconds)."""
        told = self._transfer("GET", "/tools/now").decode("ascii", "replace").strip().strip('"')
        now = orthanc_time(told)
        if not now:
            raise OrthancError(f"Orthanc at {self.url} does not tell its time")
        return now

    def plugins(self) -> list[str]:
        """Return the names of the plugins that Orthanc has loaded."""
        return list(self._ask(self._client.get_plugins))

    def doorbell_status(self) -> dict[str, Any]:
        """Return what our plugin says of itself and of the service; raises `NotThereError` when it is not loaded."""
        return self._ask_for_object(lambda: self._client.get(f"{self.url}/hemorrhage/status"))

    def changes(self, since: int, limit: int) -> ChangePage:
        """Return at most `limit` entries of the change log after number `since`."""
        return self._page({"since": since, "limit": limit})

    def newest_change(self) -> ChangePage:
        """Return the newest entry of the change log, as a page of one or none."""
        return self._page({"last": ""})

    def _page(self, params: dict[str, Any]) -> ChangePage:
        answer = self._ask(lambda: self._client.get_changes(params=params))
        changes = tuple(
            Change(int(item["Seq"]), item["ChangeType"], item["ID"], orthanc_time(item["Date"]))
            for item in answer["Changes"]
        )
        return ChangePage(changes, int(answer["Last"]), bool(answer["Done"]))

    def series_ids(self) -> list[str]:
        """Return the identifiers of all series."""
        return list(self._ask(self._client.get_series))

    def series(self, identifier: str) -> HeldSeries:
        """Return one series with its instances."""
        held = self._ask(lambda: self._client.get_series_id(identifier))
        tags = held["MainDicomTags"]
        return HeldSeries(
            held["ID"],
            held["ParentStudy"],
            tags.get("SeriesInstanceUID", ""),
            tags.get("Modality", ""),
            tuple(held["Instances"]),
            orthanc_time(held.get("LastUpdate", "")),
            tags,
        )

    def study(self, identifier: str) -> HeldStudy:
        """Return one study with its series."""
        held = self._ask(lambda: self._client.get_studies_id(identifier))
        tags = held["MainDicomTags"]
        return HeldStudy(held["ID"], tags.get("StudyInstanceUID", ""), tuple(held["Series"]), tags)

    def series_of_instance(self, identifier: str) -> str:
        """Return the identifier of the series that an instance belongs to."""
        return str(json.loads(self._transfer("GET", f"/instances/{quote(identifier)}"))["ParentSeries"])

    def sop_instance_uid(self, identifier: str) -> str:
        """Return the SOP Instance UID of an instance."""
        held = json.loads(self._transfer("GET", f"/instances/{quote(identifier)}"))
        return str(held["MainDicomTags"].get("SOPInstanceUID", ""))

    def sop_class_uid(self, identifier: str) -> str:
        """Return the SOP Class UID of an instance; empty where Orthanc did not note it."""
        try:
            return self._transfer("GET", f"/instances/{quote(identifier)}/metadata/SopClassUid").decode().strip(" \0")
        except NotThereError:
            return ""

    def holds_instance(self, identifier: str) -> bool:
        """Say whether Orthanc holds this instance."""
        try:
            self._transfer("GET", f"/instances/{quote(identifier)}")
        except NotThereError:
            return False
        return True

    # Metadata

    def metadata(self, resource: str, number: int) -> str | None:
        """Return a metadata of `studies/ID` or `series/ID`; None where there is none."""
        try:
            return self._transfer("GET", f"/{quote(resource)}/metadata/{number}").decode("utf-8", "replace")
        except NotThereError:
            return None

    def set_metadata(self, resource: str, number: int, value: str) -> None:
        """Write a metadata of `studies/ID` or `series/ID`."""
        self._transfer("PUT", f"/{quote(resource)}/metadata/{number}", value.encode())

    # Files

    def file(self, identifier: str, limit: int | None = None) -> bytes:
        """Return the DICOM file of an instance, or only its first `limit` bytes when it is larger.

        Raises `RefusedError` (TOO_LARGE) without a `limit` when it is longer than any answer may be.
        """
        try:
            return self._transfer("GET", f"/instances/{quote(identifier)}/file", limit=limit)
        except AnswerTooLongError as error:
            raise RefusedError(Refusal(RefusalCode.TOO_LARGE, f"an image: {error}")) from None

    def store(self, file: bytes) -> tuple[str, StoreStatus]:
        """Store a DICOM file; return Orthanc's identifier of the instance and whether it was there already.

        Raises `UnavailableError` also when Orthanc answers and does not keep it: its filter turns down a study's
        results, not the study.
        """
        try:
            answer = json.loads(self._transfer("POST", "/instances", file))
        except UnavailableError as error:
            self.store_refusal = StoreRefusal(time.monotonic(), str(error))
            raise
        try:
            stored = str(answer["ID"]), StoreStatus(answer["Status"])
        except ValueError as error:
            why = f"Orthanc did not keep a result ({answer['Status']}); look for a filter in its Lua scripts or plugins"
            self.store_refusal = StoreRefusal(time.monotonic(), why)
            raise UnavailableError(why) from error
        self.store_refusal = None
        return stored

    # Deleting

    def delete_instance(self, identifier: str) -> None:
        """Delete an instance; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._ask(lambda: self._client.delete_instances_id(identifier))

    def delete_study(self, identifier: str) -> None:
        """Delete a study with all its series; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._transfer("DELETE", f"/studies/{quote(identifier)}")

    # Room

    def stored_bytes(self) -> int:
        """Return how much Orthanc's storage takes on its disk, bytes."""
        told = json.loads(self._transfer("GET", "/statistics"))
        try:
            return int(told["TotalDiskSize"])
        except (KeyError, TypeError, ValueError):
            raise OrthancError(f"Orthanc at {self.url} does not tell how much it stores") from None

    def is_protected(self, study: str) -> bool:
        """Say whether the patient of a study is protected in Orthanc against being removed."""
        parent = json.loads(self._transfer("GET", f"/studies/{quote(study)}"))["ParentPatient"]
        return self._transfer("GET", f"/patients/{quote(parent)}/protected").strip() == b"1"

    # Transport

    def _ask(self, ask: Callable[[], Any]) -> Any:
        """Return the JSON answer to a request, repeated once if Orthanc had just closed the connection."""
        for last in (False, True):
            try:
                response: httpx.Response = ask()
                break
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError) as error:
                if last:
                    raise self._unavailable(type(error).__name__) from error
            except TooLongError as error:
                raise self._too_long(str(error)) from error
            except httpx.HTTPError as error:
                raise self._unavailable(type(error).__name__) from error
        self._judge(response.status_code, response.request.url.path)
        try:
            return response.json()
        except ValueError as error:
            raise OrthancError(f"what answers at {self.url} is no Orthanc") from error

    def _ask_for_object(self, ask: Callable[[], Any]) -> dict[str, Any]:
        answer = self._ask(ask)
        if not isinstance(answer, dict):
            raise OrthancError(f"what answers at {self.url} is no Orthanc")
        return answer

    def _transfer(self, method: str, path: str, body: bytes | None = None, limit: int | None = None) -> bytes:
        """Make a request over this thread's connection; a connection that had gone stale is replaced once.

        Repeating is safe: a GET changes nothing, and storing the same instance twice is one instance.
        """
        headers = {**self._headers, **({"Content-Type": "application/dicom"} if body is not None else {})}
        for fresh in (False, True):
            connection = self._connection(fresh)
            try:
                connection.request(method, self._prefix + path, body, headers)
                response = connection.getresponse()
                wanted = self._largest + 1 if limit is None else limit
                content = response.read(wanted)
                if len(content) < wanted and response.length:  # the connection ended in the middle
                    raise http.client.IncompleteRead(content, response.length)
            except (http.client.HTTPException, OSError) as error:
                self._forget_connection()
                if fresh or isinstance(error, TimeoutError):
                    raise self._unavailable(type(error).__name__) from error
            else:
                if not response.isclosed():  # the rest of a large file that is not wanted
                    self._forget_connection()
                self._judge(response.status, path)
                if limit is None and len(content) > self._largest:
                    raise self._too_long(f"the answer to {path} is longer than {self._largest} bytes")
                return content
        raise AssertionError("both tries returned or raised")

    def _connection(self, fresh: bool) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None or fresh:
            timeout = self._settings.timeout_s
            if self._tls is not None:
                connection = http.client.HTTPSConnection(self._host, self._port, timeout=timeout, context=self._tls)
            else:
                connection = http.client.HTTPConnection(self._host, self._port, timeout=timeout)
            self._local.connection = connection
        return connection

    def _forget_connection(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _judge(self, status: int, path: str) -> None:
        if 200 <= status < 300:
            return
        if status == http.HTTPStatus.NOT_FOUND:
            raise NotThereError(f"Orthanc does not hold {path}", status)
        if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
            raise TurnedDownError(
                f"Orthanc at {self.url} turns us down (HTTP {status}); "
                "set orthanc.username and orthanc.password to a registered user",
                status,
            )
        if status >= 500:
            raise UnavailableError(
                f"Orthanc at {self.url} answered HTTP {status} to {path}; look at its log and its disk"
            )
        raise OrthancError(f"Orthanc at {self.url} answered HTTP {status} to {path}", status)

    def _too_long(self, what: str) -> AnswerTooLongError:
        return AnswerTooLongError(f"{what}: more than orthanc.largest_answer_mib = {self._largest >> 20} is not taken")

    def _unavailable(self, what: str) -> UnavailableError:
        return UnavailableError(f"Orthanc at {self.url} does not answer ({what}); is it running, and on this address?")
