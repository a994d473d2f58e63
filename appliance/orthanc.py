# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A client of Orthanc: its change log, what it holds, the bytes of an instance, storing and deleting.

`orthanc_connection` makes the requests. Nothing here decides anything about a study.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any, Final

from appliance.errors import Refusal, RefusalCode, RefusedError, UnavailableError
from appliance.orthanc_connection import OrthancConnection, is_system, quoted
from appliance.orthanc_errors import AnswerTooLongError, FilteredOutError, NoOrthancError, NotThereError, OrthancError
from appliance.orthanc_records import (
    Change,
    ChangePage,
    HeldSeries,
    HeldStudy,
    StoreStatus,
    number,
    orthanc_time,
    text,
    texts,
    texts_by_name,
)
from appliance.orthanc_storage import StandingRefusal
from appliance.sections.orthanc import OrthancSettings
from appliance.uids import is_uid

_FILTERED_OUT: Final = "FilteredOut"
"""Orthanc's status of an instance that a filter in its scripts or plugins rejects."""


class Orthanc:
    """A client of one Orthanc; may be used from several threads at once.

    Every method raises `UnavailableError` when Orthanc does not answer, answers with a fault of its own (5xx) or
    rejects our credentials, `NotThereError` on Orthanc's own 404, and `OrthancError` on any other refusal of Orthanc's
    and on an answer that is longer than `orthanc.largest_answer_mib`. For a file that is longer it is `RefusedError`
    (TOO_LARGE) instead. On an answer of another form than Orthanc's, whatever its status, and on a status that blames
    the way of the request, it is `NoOrthancError`, which is an `UnavailableError` too.

    `store_refusal` holds the result that Orthanc did not take, as long as that stands.
    """

    def __init__(self, settings: OrthancSettings) -> None:
        self._connection = OrthancConnection(settings)
        self._client = self._connection.client
        self.url = self._connection.url
        self.store_refusal = StandingRefusal()

    def close(self) -> None:
        """Close the connections of pyorthanc and of the calling thread."""
        self._connection.close()

    @contextlib.contextmanager
    def _parsing(self) -> Iterator[None]:
        """Raise `NoOrthancError` inside when an answer that is taken apart there has another form than Orthanc's.

        Only an answer that is nested too deeply is an `OrthancError`: that is the header of a study, not the server.
        """
        try:
            yield
        except RecursionError as error:
            raise OrthancError(f"an answer of Orthanc at {self.url} is nested too deeply") from error
        except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise NoOrthancError(
                f"what answers at {self.url} is no Orthanc: its answer has another form ({type(error).__name__})"
            ) from error

    # What Orthanc holds

    def system(self) -> dict[str, Any]:
        """Return Orthanc's description of itself (version, AE title, ports)."""
        told = self._connection.ask_for_object(self._client.get_system)
        if not is_system(told):
            raise NoOrthancError(f"what answers at {self.url} is no Orthanc: it does not say who it is")
        return told

    def now(self) -> float:
        """Return Orthanc's time (Unix time in whole seconds)."""
        told = self._connection.transfer("GET", "/tools/now").decode("ascii", "replace").strip().strip('"')
        now = orthanc_time(told)
        if not now:
            raise NoOrthancError(f"Orthanc at {self.url} does not tell its time")
        return now

    def plugins(self) -> list[str]:
        """Return the names of the plugins that Orthanc has loaded."""
        told = self._connection.ask(self._client.get_plugins)
        with self._parsing():
            return texts(told)

    def doorbell_status(self) -> dict[str, Any]:
        """Return what our plugin says of itself and of the service; raises `NotThereError` when it is not loaded."""
        return self._connection.ask_for_object(lambda: self._client.get(f"{self.url}/hemorrhage/status"))

    def changes(self, since: int, limit: int) -> ChangePage:
        """Return at most `limit` entries of the change log after number `since`."""
        return self._page({"since": since, "limit": limit})

    def newest_change(self) -> ChangePage:
        """Return the newest entry of the change log, as a page of one or none."""
        return self._page({"last": ""})

    def _page(self, params: dict[str, Any]) -> ChangePage:
        answer = self._connection.ask(lambda: self._client.get_changes(params=params))
        with self._parsing():
            changes = tuple(
                Change(number(item["Seq"]), text(item["ChangeType"]), text(item["ID"]), orthanc_time(item["Date"]))
                for item in answer["Changes"]
            )
            return ChangePage(changes, number(answer["Last"]), bool(answer["Done"]))

    def series_ids(self) -> list[str]:
        """Return the identifiers of all series."""
        told = self._connection.ask(self._client.get_series)
        with self._parsing():
            return texts(told)

    def series(self, identifier: str) -> HeldSeries:
        """Return one series with its instances."""
        held = self._connection.ask(lambda: self._client.get_series_id(identifier))
        with self._parsing():
            tags = texts_by_name(held["MainDicomTags"])
            return HeldSeries(
                text(held["ID"]),
                text(held["ParentStudy"]),
                tags.get("SeriesInstanceUID", ""),
                tags.get("Modality", ""),
                tuple(texts(held["Instances"])),
                orthanc_time(held.get("LastUpdate", "")),
                tags,
            )

    def study(self, identifier: str) -> HeldStudy:
        """Return one study with its series."""
        held = self._connection.ask(lambda: self._client.get_studies_id(identifier))
        with self._parsing():
            name, tags = text(held["ID"]), texts_by_name(held["MainDicomTags"])
            uid = tags.get("StudyInstanceUID", "")
            return HeldStudy(name, uid if is_uid(uid) else name, tuple(texts(held["Series"])), tags)

    def series_of_instance(self, identifier: str) -> str:
        """Return the identifier of the series that an instance belongs to."""
        told = self._connection.transfer("GET", f"/instances/{quoted(identifier)}")
        with self._parsing():
            return text(json.loads(told)["ParentSeries"])

    def sop_instance_uid(self, identifier: str) -> str:
        """Return the SOP Instance UID of an instance."""
        told = self._connection.transfer("GET", f"/instances/{quoted(identifier)}")
        with self._parsing():
            return texts_by_name(json.loads(told)["MainDicomTags"]).get("SOPInstanceUID", "")

    def sop_class_uid(self, identifier: str) -> str:
        """Return the SOP Class UID of an instance; empty if Orthanc did not note it."""
        try:
            return (
                self._connection.transfer("GET", f"/instances/{quoted(identifier)}/metadata/SopClassUid")
                .decode()
                .strip(" \0")
            )
        except NotThereError:
            return ""

    def holds_instance(self, identifier: str) -> bool:
        """Return whether Orthanc holds this instance."""
        try:
            self._connection.transfer("GET", f"/instances/{quoted(identifier)}")
        except NotThereError:
            return False
        return True

    def studies_of_patient(self, study: str) -> list[str]:
        """Return the identifiers of all studies of the patient of a study, itself among them."""
        told = self._connection.transfer("GET", f"/patients/{quoted(self._patient_of(study))}")
        with self._parsing():
            return texts(json.loads(told)["Studies"])

    def _patient_of(self, study: str) -> str:
        told = self._connection.transfer("GET", f"/studies/{quoted(study)}")
        with self._parsing():
            return text(json.loads(told)["ParentPatient"])

    def find_study(self, study_uid: str) -> str | None:
        """Return the identifier of the study with a Study Instance UID; None if Orthanc holds none."""
        told = self._connection.transfer("POST", "/tools/lookup", study_uid.encode())
        with self._parsing():
            return next((text(one["ID"]) for one in json.loads(told) if one["Type"] == "Study"), None)

    def header(self, identifier: str) -> dict[str, Any]:
        """Return the header of an instance by keyword: texts, and lists of the like for sequences."""
        told = self._connection.transfer("GET", f"/instances/{quoted(identifier)}/simplified-tags")
        with self._parsing():
            return dict(json.loads(told).items())

    def instance_metadata(self, identifier: str) -> dict[str, str]:
        """Return Orthanc's metadata of an instance by name: how it came, and when."""
        told = self._connection.transfer("GET", f"/instances/{quoted(identifier)}/metadata?expand")
        with self._parsing():
            return texts_by_name(json.loads(told))

    # Sending on

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Return Orthanc's JSON answer to a request of its REST interface."""
        content = self._connection.transfer(method, path, None if body is None else json.dumps(body).encode())
        with self._parsing():
            return json.loads(content) if content.strip() else None

    # Metadata

    def metadata(self, resource: str, number: int) -> str | None:
        """Return a metadata of `studies/ID` or `series/ID`; None where there is none."""
        try:
            return self._connection.text(f"/{quoted(resource)}/metadata/{number}")
        except NotThereError:
            return None

    def set_metadata(self, resource: str, number: int, value: str) -> None:
        """Write a metadata of `studies/ID` or `series/ID`."""
        self._connection.change("PUT", f"/{quoted(resource)}/metadata/{number}", value.encode())

    def remove_metadata(self, resource: str, number: int) -> None:
        """Remove a metadata of `studies/ID` or `series/ID`; removing one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.change("DELETE", f"/{quoted(resource)}/metadata/{number}")

    def has_labels(self) -> bool:
        """Return whether this Orthanc, with its database, has labels."""
        return bool(self.system().get("HasLabels", False))

    def labels(self, resource: str) -> set[str]:
        """Return the labels of `studies/ID` or `series/ID`."""
        told = self._connection.transfer("GET", f"/{quoted(resource)}/labels")
        with self._parsing():
            return set(texts(json.loads(told)))

    def set_label(self, resource: str, label: str) -> None:
        """Give `studies/ID` or `series/ID` a label."""
        self._connection.change("PUT", f"/{quoted(resource)}/labels/{quoted(label)}", b"")

    def remove_label(self, resource: str, label: str) -> None:
        """Take a label from `studies/ID` or `series/ID`; taking one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.change("DELETE", f"/{quoted(resource)}/labels/{quoted(label)}")

    # Files

    def file(self, identifier: str, limit: int | None = None) -> bytes:
        """Return the DICOM file of an instance, or only its first `limit` bytes when it is larger.

        Without a `limit`, raises `RefusedError` (TOO_LARGE) when the file is longer than any answer may be.
        """
        try:
            return self._connection.transfer("GET", f"/instances/{quoted(identifier)}/file", limit=limit)
        except AnswerTooLongError as error:
            raise RefusedError(Refusal(RefusalCode.TOO_LARGE, f"an image: {error}")) from None

    def store(self, file: bytes) -> tuple[str, StoreStatus]:
        """Store a DICOM file; return Orthanc's identifier of the instance and whether it was there already.

        `delivery.store` reads a result back, as Orthanc may confirm what it does not keep, and notes in
        `store_refusal` what was refused.

        Also raises `UnavailableError` when Orthanc answers and does not keep the file, and of these `FilteredOutError`
        when its filter rejects a study's results, not the study; and `NoOrthancError` where a proxy knows no such path.
        """
        try:
            told = self._connection.transfer("POST", "/instances", file)
        except NotThereError as error:
            raise NoOrthancError(
                f"what answers at {self.url} takes no instances (HTTP {error.status}); look for a proxy before it"
            ) from error
        with self._parsing():
            answer = json.loads(told)
            identifier, status = text(answer["ID"]), text(answer["Status"])
        if status not in set(StoreStatus):
            kind = FilteredOutError if status == _FILTERED_OUT else UnavailableError
            raise kind(f"Orthanc did not keep a result ({status}); look for a filter in its Lua scripts or plugins")
        return identifier, StoreStatus(status)

    # Deleting

    def delete_instance(self, identifier: str) -> None:
        """Delete an instance; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.ask(lambda: self._client.delete_instances_id(identifier))

    def delete_study(self, identifier: str) -> None:
        """Delete a study with all its series; deleting one that is not there succeeds."""
        with contextlib.suppress(NotThereError):
            self._connection.transfer("DELETE", f"/studies/{quoted(identifier)}")

    # Room

    def stored_bytes(self) -> int:
        """Return how much Orthanc's storage takes up on its disk, bytes."""
        told = self._connection.transfer("GET", "/statistics")
        with self._parsing():
            return number(int(text(json.loads(told)["TotalDiskSize"])))

    def is_protected(self, study: str) -> bool:
        """Return whether Orthanc protects the patient of a study from removal."""
        told = self._connection.transfer("GET", f"/patients/{quoted(self._patient_of(study))}/protected")
        return told.strip() == b"1"
