# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A client of Orthanc: its change log, what it holds, the bytes of an instance, storing and deleting.

`orthanc_connection` makes the requests. Nothing here decides anything about a study.
"""

from __future__ import annotations

import contextlib
import functools
import json
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import quote

from appliance.errors import Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.orthanc_connection import OrthancConnection
from appliance.orthanc_errors import AnswerTooLongError, NoOrthancError, NotThereError, OrthancError
from appliance.orthanc_records import Change, ChangePage, HeldSeries, HeldStudy, StoreRefusal, StoreStatus, orthanc_time
from appliance.sections.orthanc import OrthancSettings

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _reads_answer(method: Callable[Concatenate[Orthanc, _P], _R]) -> Callable[Concatenate[Orthanc, _P], _R]:
    """Let a method that takes an answer apart raise `NoOrthancError` when the answer has another form.

    Only an answer that is nested too deeply is an `OrthancError`: that is the header of a study, not the server.
    """

    @functools.wraps(method)
    def read(self: Orthanc, /, *args: _P.args, **named: _P.kwargs) -> _R:
        try:
            return method(self, *args, **named)
        except RecursionError as error:
            raise OrthancError(f"an answer of Orthanc at {self.url} is nested too deeply") from error
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise NoOrthancError(
                f"what answers at {self.url} is no Orthanc: its answer has another form ({type(error).__name__})"
            ) from error

    return read


class Orthanc:
    """A client of one Orthanc; may be used from several threads at once.

    Every method raises `UnavailableError` when Orthanc does not answer, answers with a fault of its own (5xx) or
    rejects our credentials, `NotThereError` on 404, and `OrthancError` on any other refusal and on an answer that is
    longer than `orthanc.largest_answer_mib`. For a file that is longer it is `RefusedError` (TOO_LARGE) instead. On an
    answer of another form than Orthanc's it is `NoOrthancError`, which is an `UnavailableError` too.
    """

    def __init__(self, settings: OrthancSettings) -> None:
        self._connection = OrthancConnection(settings)
        self._client = self._connection.client
        self.url = self._connection.url
        self.store_refusal: StoreRefusal | None = None

    def close(self) -> None:
        """Close the connections of pyorthanc and of the calling thread."""
        self._connection.close()

    # What Orthanc holds

    def system(self) -> dict[str, Any]:
        """Return Orthanc's description of itself (version, AE title, ports)."""
        return self._connection.ask_for_object(self._client.get_system)

    def now(self) -> float:
        """Return Orthanc's time (Unix time in whole seconds)."""
        told = self._connection.transfer("GET", "/tools/now").decode("ascii", "replace").strip().strip('"')
        now = orthanc_time(told)
        if not now:
            raise NoOrthancError(f"Orthanc at {self.url} does not tell its time")
        return now

    @_reads_answer
    def plugins(self) -> list[str]:
        """Return the names of the plugins that Orthanc has loaded."""
        return list(self._connection.ask(self._client.get_plugins))

    def doorbell_status(self) -> dict[str, Any]:
        """Return what our plugin says of itself and of the service; raises `NotThereError` when it is not loaded."""
        return self._connection.ask_for_object(lambda: self._client.get(f"{self.url}/hemorrhage/status"))

    def changes(self, since: int, limit: int) -> ChangePage:
        """Return at most `limit` entries of the change log after number `since`."""
        return self._page({"since": since, "limit": limit})

    def newest_change(self) -> ChangePage:
        """Return the newest entry of the change log, as a page of one or none."""
        return self._page({"last": ""})

    @_reads_answer
    def _page(self, params: dict[str, Any]) -> ChangePage:
        answer = self._connection.ask(lambda: self._client.get_changes(params=params))
        changes = tuple(
            Change(int(item["Seq"]), item["ChangeType"], item["ID"], orthanc_time(item["Date"]))
            for item in answer["Changes"]
        )
        return ChangePage(changes, int(answer["Last"]), bool(answer["Done"]))

    @_reads_answer
    def series_ids(self) -> list[str]:
        """Return the identifiers of all series."""
        return list(self._connection.ask(self._client.get_series))

    @_reads_answer
    def series(self, identifier: str) -> HeldSeries:
        """Return one series with its instances."""
        held = self._connection.ask(lambda: self._client.get_series_id(identifier))
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

    @_reads_answer
    def study(self, identifier: str) -> HeldStudy:
        """Return one study with its series."""
        held = self._connection.ask(lambda: self._client.get_studies_id(identifier))
        tags = held["MainDicomTags"]
        return HeldStudy(held["ID"], tags.get("StudyInstanceUID", ""), tuple(held["Series"]), tags)

    @_reads_answer
    def series_of_instance(self, identifier: str) -> str:
        """Return the identifier of the series that an instance belongs to."""
        return str(json.loads(self._connection.transfer("GET", f"/instances/{quote(identifier)}"))["ParentSeries"])

    @_reads_answer
    def sop_instance_uid(self, identifier: str) -> str:
        """Return the SOP Instance UID of an instance."""
        held = json.loads(self._connection.transfer("GET", f"/instances/{quote(identifier)}"))
        return str(held["MainDicomTags"].get("SOPInstanceUID", ""))

    def sop_class_uid(self, identifier: str) -> str:
        """Return the SOP Class UID of an instance; empty if Orthanc did not note it."""
        try:
            return (
                self._connection.transfer("GET", f"/instances/{quote(identifier)}/metadata/SopClassUid")
                .decode()
                .strip(" \0")
            )
        except NotThereError:
            return ""

    def holds_instance(self, identifier: str) -> bool:
        """Return whether Orthanc holds this instance."""
        try:
            self._connection.transfer("GET", f"/instances/{quote(identifier)}")
        except NotThereError:
            return False
        return True

    @_reads_answer
    def studies_of_patient(self, study: str) -> list[str]:
        """Return the identifiers of all studies of the patient of a study, itself among them."""
        patient = json.loads(self._connection.transfer("GET", f"/studies/{quote(study)}"))["ParentPatient"]
        held = json.loads(self._connection.transfer("GET", f"/patients/{quote(patient)}"))
        return [str(one) for one in held["Studies"]]

    @_reads_answer
    def find_study(self, study_uid: str) -> str | None:
        """Return the identifier of the study with a Study Instance UID; None if Orthanc holds none."""
        found = json.loads(self._connection.transfer("POST", "/tools/lookup", study_uid.encode()))
        return next((str(one["ID"]) for one in found if one["Type"] == "Study"), None)

    @_reads_answer
    def header(self, identifier: str) -> dict[str, Any]:
        """Return the header of an instance by keyword: texts, and lists of the like for sequences."""
        path = f"/instances/{quote(identifier)}/simplified-tags"
        return dict(json.loads(self._connection.transfer("GET", path)).items())

    @_reads_answer
    def instance_metadata(self, identifier: str) -> dict[str, str]:
        """Return Orthanc's metadata of an instance by name: how it came, and when."""
        path = f"/instances/{quote(identifier)}/metadata?expand"
        return {name: str(value) for name, value in json.loads(self._connection.transfer("GET", path)).items()}

    # Sending on

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return Orthanc's JSON answer to a request of its REST interface."""
        content = self._connection.transfer(method, path, None if body is None else json.dumps(body).encode())
        try:
            return json.loads(content) if content.strip() else None
        except ValueError as error:
            raise NoOrthancError(f"Orthanc at {self.url} answers {path} with something else than JSON") from error

    # Metadata

    def metadata(self, resource: str, number: int) -> str | None:
        """Return a metadata of `studies/ID` or `series/ID`; None where there is none."""
        try:
            return self._connection.transfer("GET", f"/{quote(resource)}/metadata/{number}").decode("utf-8", "replace")
        except NotThereError:
            return None

    def set_metadata(self, resource: str, number: int, value: str) -> None:
        """Write a metadata of `studies/ID` or `series/ID`."""
        self._connection.transfer("PUT", f"/{quote(resource)}/metadata/{number}", value.encode())

    def remove_metadata(self, resource: str, number: int) -> None:
        """Remove a metadata of `studies/ID` or `series/ID`; removing one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.transfer("DELETE", f"/{quote(resource)}/metadata/{number}")

    def has_labels(self) -> bool:
        """Return whether this Orthanc, with its database, has labels."""
        return bool(self.system().get("HasLabels", False))

    @_reads_answer
    def labels(self, resource: str) -> set[str]:
        """Return the labels of `studies/ID` or `series/ID`."""
        return {str(label) for label in json.loads(self._connection.transfer("GET", f"/{quote(resource)}/labels"))}

    def set_label(self, resource: str, label: str) -> None:
        """Give `studies/ID` or `series/ID` a label."""
        self._connection.transfer("PUT", f"/{quote(resource)}/labels/{quote(label)}", b"")

    def remove_label(self, resource: str, label: str) -> None:
        """Take a label from `studies/ID` or `series/ID`; taking one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.transfer("DELETE", f"/{quote(resource)}/labels/{quote(label)}")

    # Files

    def file(self, identifier: str, limit: int | None = None) -> bytes:
        """Return the DICOM file of an instance, or only its first `limit` bytes when it is larger.

        Without a `limit`, raises `RefusedError` (TOO_LARGE) when the file is longer than any answer may be.
        """
        try:
            return self._connection.transfer("GET", f"/instances/{quote(identifier)}/file", limit=limit)
        except AnswerTooLongError as error:
            raise RefusedError(Refusal(RefusalCode.TOO_LARGE, f"an image: {error}")) from None

    def store(self, file: bytes) -> tuple[str, StoreStatus]:
        """Store a DICOM file; return Orthanc's identifier of the instance and whether it was there already.

        `store_refusal` holds the last failure until `delivery.store` has read a result back whole: Orthanc may confirm
        what it does not keep.

        Also raises `UnavailableError` when Orthanc answers and does not keep the file: its filter rejects a study's
        results, not the study. So it does on 404, by which a proxy says that it knows no Orthanc.
        """
        try:
            return self._store(file)
        except UnavailableError as error:
            self.store_refusal = StoreRefusal(time.monotonic(), str(error))
            raise

    @_reads_answer
    def _store(self, file: bytes) -> tuple[str, StoreStatus]:
        try:
            answer = json.loads(self._connection.transfer("POST", "/instances", file))
        except NotThereError as error:
            raise NoOrthancError(f"what answers at {self.url} takes no instances; is it Orthanc?") from error
        identifier, status = str(answer["ID"]), str(answer["Status"])
        if status not in set(StoreStatus):
            raise UnavailableError(
                f"Orthanc did not keep a result ({status}); look for a filter in its Lua scripts or plugins"
            )
        return identifier, StoreStatus(status)

    # Deleting

    def delete_instance(self, identifier: str) -> None:
        """Delete an instance; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.ask(lambda: self._client.delete_instances_id(identifier))

    def delete_study(self, identifier: str) -> None:
        """Delete a study with all its series; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.transfer("DELETE", f"/studies/{quote(identifier)}")

    # Room

    @_reads_answer
    def stored_bytes(self) -> int:
        """Return how much Orthanc's storage takes up on its disk, bytes."""
        told = json.loads(self._connection.transfer("GET", "/statistics"))
        try:
            return int(told["TotalDiskSize"])
        except (KeyError, TypeError, ValueError):
            raise NoOrthancError(f"Orthanc at {self.url} does not tell how much it stores") from None

    @_reads_answer
    def is_protected(self, study: str) -> bool:
        """Return whether Orthanc protects the patient of a study from removal."""
        parent = json.loads(self._connection.transfer("GET", f"/studies/{quote(study)}"))["ParentPatient"]
        return self._connection.transfer("GET", f"/patients/{quote(parent)}/protected").strip() == b"1"
