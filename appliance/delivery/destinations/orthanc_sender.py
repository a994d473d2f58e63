# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Archives that the appliance's Orthanc sends to: a DICOM node by C-STORE, or another Orthanc over HTTP.

Orthanc does this in a job. The job's number is kept, so that a service that was killed meanwhile asks for its outcome
instead of sending again. A DICOM node may be asked to commit to what it stored (storage commitment), which then
confirms the delivery. It is not waited for at length: the transaction is kept and asked for again later, and other
deliveries pass meanwhile.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, UnfinishedError
from appliance.delivery.destinations.foreign import quote_foreign
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_connection import quoted
from appliance.orthanc_errors import NotThereError, OrthancError
from appliance.sections.delivery import OrthancModalitySettings, OrthancPeerSettings

_POLLED_EVERY_S: Final = 0.1
_COMMITS_AT_ONCE_S: Final = 2.0
"""A node that commits in this time confirms a delivery in its first try."""
_PROMISED: Final = "commitment"
_ANSWERED: Final = ("DIMSE status", "0xa7", "0xa9", "0xc0", "status: 0x", "SOP class", "Presentation Context")
"""Orthanc's words for a node that answered and did not accept an object."""


class _OrthancSender:
    """What the two have in common."""

    def __init__(self, orthanc: Orthanc, path: str, timeout_s: float, commitment_s: float | None) -> None:
        self._orthanc = orthanc
        self._path = path
        self._timeout_s = timeout_s
        self._commitment_s = commitment_s

    def deliver(self, parcel: Parcel) -> str:
        """Have Orthanc send, and wait for the end; see `Destination`."""
        try:
            stored = f"{len(parcel.instances)} objects stored"
            promise = None if self._commitment_s is None else _promise_in(parcel.delivery.handle)
            if promise is None or not self._knows(promise, parcel.delivery.handle):
                job, content = self._send(parcel, "" if _promise_in(parcel.delivery.handle) else parcel.delivery.handle)
                if self._commitment_s is None:
                    return f"{stored} (Orthanc job {job})"
                promise = _Promise(str(content.get("StorageCommitmentTransactionUID", "")), time.time())
                parcel.note(promise.handle)
            self._commit(promise, parcel)
            return f"{stored} and committed to (transaction {promise.transaction})"
        except UnavailableError as error:
            raise AwayError(str(error)) from error
        except OrthancError as error:
            raise NotTakenError(str(error)) from error

    def _send(self, parcel: Parcel, job: str) -> tuple[str, dict[str, Any]]:
        """Return the job that has sent all, and its content; it is `job` where that has not failed."""
        if not job or self._ended(job) is None:
            job = self._begin(parcel)
            parcel.note(job)
        return job, self._finish(job, parcel)

    def _begin(self, parcel: Parcel) -> str:
        asked: dict[str, Any] = {"Resources": list(parcel.instances), "Synchronous": False, "Permissive": False}
        if parcel.delivery.first:
            asked["Priority"] = 10
        if self._commitment_s is not None:
            asked["StorageCommitment"] = True
        try:
            return str(self._orthanc.ask("POST", f"{self._path}/store", asked)["ID"])
        except NotThereError:
            raise AwayError(self._not_known()) from None

    def _not_known(self) -> str:
        what, _, name = self._path.strip("/").partition("/")
        where = {"modalities": "orthanc.receivers (DicomModalities in Orthanc's own configuration)"}
        return f"Orthanc does not know {name}: name it in {where.get(what, 'OrthancPeers of its configuration')}"

    def _ended(self, job: str) -> dict[str, Any] | None:
        """Return what Orthanc says of a job; None when it has forgotten it."""
        try:
            told: dict[str, Any] = self._orthanc.ask("GET", f"/jobs/{quoted(job)}")
        except NotThereError:
            return None
        # A failed job is restarted: its cause may be over.
        return None if told["State"] == "Failure" else told

    def _finish(self, job: str, parcel: Parcel) -> dict[str, Any]:
        """Return the content of a job once it has succeeded."""
        while True:
            try:
                told = self._orthanc.ask("GET", f"/jobs/{quoted(job)}")
            except NotThereError:
                raise NotTakenError(f"Orthanc has forgotten its job {job}; all is sent again") from None
            if told["State"] == "Success":
                content: dict[str, Any] = told.get("Content", {})
                if int(content.get("FailedInstancesCount", 0)):
                    raise NotTakenError(f"{content['FailedInstancesCount']} objects were not taken")
                return content
            if told["State"] == "Failure":
                raise _failure(told, parcel)
            if told["State"] == "Paused":
                raise NotTakenError(f"somebody has paused Orthanc's job {job}")
            parcel.go_on()
            time.sleep(_POLLED_EVERY_S)

    def _knows(self, promise: _Promise, handle: str) -> bool:
        """Return whether Orthanc still knows a transaction: not after its restart, or after many others."""
        try:
            self._orthanc.ask("GET", f"/storage-commitment/{quote(promise.transaction)}")
        except NotThereError:
            return False
        except UnavailableError as error:
            raise UnfinishedError(str(error), handle) from error
        return True

    def _commit(self, promise: _Promise, parcel: Parcel) -> None:
        """Return if the node has committed to everything in a transaction, or does so at once."""
        patience_s = self._commitment_s or 0.0
        ends = time.monotonic() + _COMMITS_AT_ONCE_S
        while True:
            told = self._orthanc.ask("GET", f"/storage-commitment/{quote(promise.transaction)}")
            if told["Status"] == "Success":
                return
            if told["Status"] == "Failure":
                header = parcel.situation.header
                reasons = {quote_foreign(str(one.get("Description", one)), header) for one in told.get("Failures", ())}
                raise NotTakenError(f"it does not commit to what it took: {', '.join(sorted(reasons)) or 'no reason'}")
            if time.time() > promise.asked + patience_s:
                raise NotTakenError(f"it has not committed within {patience_s:g} s (commitment_s); all is sent again")
            if time.monotonic() > ends:
                raise UnfinishedError("it has taken all and has yet to commit to it", promise.handle)
            parcel.go_on()
            time.sleep(_POLLED_EVERY_S)


@dataclass(frozen=True)
class _Promise:
    """A transaction in which a node is to commit; `asked` is when it was asked, Unix seconds."""

    transaction: str
    asked: float

    @property
    def handle(self) -> str:
        return f"{_PROMISED} {self.transaction} {self.asked:.1f}"


def _promise_in(handle: str) -> _Promise | None:
    word, *rest = handle.split(" ")
    return _Promise(rest[0], float(rest[1])) if word == _PROMISED else None


class OrthancModality(_OrthancSender):
    """A DICOM node."""

    def __init__(self, settings: OrthancModalitySettings, orthanc: Orthanc) -> None:
        commitment_s = settings.commitment_s if settings.storage_commitment else None
        super().__init__(orthanc, f"/modalities/{quote(settings.modality)}", settings.timeout_s, commitment_s)

    def test(self) -> str:
        """Let Orthanc send a C-ECHO; see `Destination`."""
        try:
            self._orthanc.ask("POST", f"{self._path}/echo", {"Timeout": max(1, int(self._timeout_s))})
        except NotThereError:
            raise AwayError(self._not_known()) from None
        except (OrthancError, UnavailableError):  # 1.10.1 answers 500 when the node does not answer
            self._require_orthanc()
            raise AwayError(
                "it does not answer Orthanc's C-ECHO: check address, port and AE title, and that it knows ours"
            ) from None
        if self._commitment_s is None:
            return "answers Orthanc's C-ECHO"
        return (
            "answers Orthanc's C-ECHO; not tried, as nothing is sent: whether it supports storage commitment, and if "
            "its report reaches Orthanc's DICOM port from there (the first delivery shows it)"
        )

    def _require_orthanc(self) -> None:
        try:
            self._orthanc.system()
        except (OrthancError, UnavailableError) as error:
            raise AwayError(str(error)) from error


class OrthancPeer(_OrthancSender):
    """Another Orthanc."""

    def __init__(self, settings: OrthancPeerSettings, orthanc: Orthanc) -> None:
        super().__init__(orthanc, f"/peers/{quote(settings.peer)}", settings.timeout_s, None)

    def test(self) -> str:
        """Let Orthanc ask the peer what it is; see `Destination`."""
        try:
            told = self._orthanc.ask("GET", f"{self._path}/system")
        except NotThereError:
            raise AwayError(self._not_known()) from None
        except (OrthancError, UnavailableError):
            raise AwayError("it does not answer Orthanc: check its address, user and password there") from None
        return f"answers as Orthanc {told.get('Version', 'of some version')}" if isinstance(told, dict) else "answers"


def _failure(told: dict[str, Any], parcel: Parcel) -> AwayError | NotTakenError:
    """Return what a failed job of Orthanc's means: nobody is there, or this one was not taken."""
    words = str(told.get("ErrorDetails") or told.get("ErrorDescription") or "no reason given")
    details = quote_foreign(words, parcel.situation.header)
    if any(answer.lower() in words.lower() for answer in _ANSWERED):
        return NotTakenError(f"not taken: {details}")
    return AwayError(f"Orthanc could not send: {details}")
