# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A server that accepts DICOM by STOW-RS (PS3.18, 10.5) and confirms in its response what it stored."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Final
from uuid import uuid4

import httpx

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, secret_in
from appliance.delivery.destinations.foreign import origin
from appliance.delivery.destinations.tls import certificate_fault
from appliance.delivery.destinations.webhook import http_client, request
from appliance.errors import UnavailableError
from appliance.orthanc import Orthanc
from appliance.orthanc_errors import NotThereError
from appliance.sections.delivery import DicomWebSettings

_AT_ONCE: Final = 32 * 2**20
"""The size of one request, bytes, unless a single object is larger."""
_STORED_NONE: Final = frozenset({409})
"""What a server answers that has stored nothing, with its reasons (PS3.18, 10.5.3): it may have no room now."""
_FAILED: Final = "00081198"
_STORED: Final = "00081199"
_REASON: Final = "00081197"


class DicomWeb:
    """Posts the objects of an answer."""

    def __init__(self, settings: DicomWebSettings, orthanc: Orthanc) -> None:
        self._settings = settings
        self._orthanc = orthanc

    def deliver(self, parcel: Parcel) -> str:
        """Post all objects; see `Destination`."""
        stored = 0
        with self._client() as client:
            for files in self._batches(parcel):
                boundary = uuid4().hex
                headers = {
                    "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                    "Accept": "application/dicom+json",
                }
                url, timeout_s = f"{self._settings.url.rstrip('/')}/studies", self._settings.timeout_s
                answer = request(client, url, _multipart(files, boundary), headers, timeout_s, _STORED_NONE)
                stored += _stored(answer, len(files))
                parcel.go_on()
        return f"{stored} objects stored"

    def test(self) -> str:
        """Ask for one study; see `Destination`."""
        url = f"{self._settings.url.rstrip('/')}/studies?limit=1"
        try:
            headers = {"Accept": "application/dicom+json"}
            with self._client() as client, client.stream("GET", url, headers=headers) as answer:
                status = answer.status_code  # what it found is not needed, and may be long
        except httpx.HTTPError as error:
            said = certificate_fault(error) or type(error).__name__
            raise AwayError(f"{origin(url)} does not answer ({said})") from error
        if status >= 400:
            raise AwayError(f"{origin(url)} answers HTTP {status}; check its address, user and password")
        return "answers a query"

    def _client(self) -> httpx.Client:
        user = self._settings.username
        auth = (user, secret_in(self._settings.password_file)) if user else None
        return http_client(self._settings.url, self._settings.timeout_s, self._settings.ca, auth)

    def _batches(self, parcel: Parcel) -> Iterator[list[bytes]]:
        batch: list[bytes] = []
        for instance in parcel.instances:
            try:
                file = self._orthanc.file(instance)
            except NotThereError:
                raise NotTakenError("Orthanc no longer holds one of the objects") from None
            except UnavailableError as error:
                raise AwayError(str(error)) from error
            if batch and sum(map(len, batch)) + len(file) > _AT_ONCE:
                yield batch
                batch = []
            batch.append(file)
        if batch:
            yield batch


def _multipart(files: Sequence[bytes], boundary: str) -> bytes:
    opening = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    return b"".join(opening + file + b"\r\n" for file in files) + f"--{boundary}--\r\n".encode()


def _stored(answer: httpx.Response, sent: int) -> int:
    """Return how many objects a response says are stored. Raises `NotTakenError` when that is not all of them."""
    try:
        told = json.loads(answer.content)
        failed = told.get(_FAILED, {}).get("Value", [])
        stored = told.get(_STORED, {}).get("Value", [])
        if not isinstance(failed, list) or not isinstance(stored, list):
            raise TypeError
        codes = {str(code)[:10] for one in failed for code in one.get(_REASON, {}).get("Value", ["none given"])}
    except (ValueError, AttributeError, TypeError, RecursionError):
        said = f"it answers a STOW-RS request with something else than DICOM JSON (HTTP {answer.status_code})"
        raise NotTakenError(said) from None
    if failed or len(stored) < sent or answer.status_code in _STORED_NONE:
        reasons = f" (failure reason {', '.join(sorted(codes))})" if codes else ""
        raise NotTakenError(f"it stored {len(stored)} of {sent} objects{reasons}")
    return len(stored)
