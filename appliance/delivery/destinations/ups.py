# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A worklist that speaks UPS-RS (PS3.18, 11): the priority of the workitems about a study is set by the answer.

Only a workitem that nobody has taken up (SCHEDULED) is updated, which the standard allows without a Transaction UID.
One that is IN PROGRESS belongs to whoever claimed it and holds that UID: the study is being read, so it is left alone.
The appliance never claims one, or it would be gone from the readers' list.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import httpx

from appliance.delivery.destinations.destination import AwayError, NotTakenError, Parcel, RejectedError, secret_in
from appliance.delivery.destinations.foreign import origin
from appliance.delivery.destinations.webhook import http_client, request
from appliance.delivery.variables import is_urgent, values_of
from appliance.sections.delivery import UpsSettings

_JSON: Final = "application/dicom+json"
_UID, _STATE, _PRIORITY = "00080018", "00741000", "00741200"
_REQUEST: Final = "0040A370"
_KEYS: Final = {"study": "0020000D", "accession": "00080050"}
_SCHEDULED: Final = "SCHEDULED"
_NOT_ANY_LONGER: Final = frozenset({404, 409, 410})
"""The workitem was taken up, ended or removed since it was found."""
_TURNED_DOWN: Final = frozenset(range(400, 600))


class Ups:
    """Sets the priority of workitems."""

    def __init__(self, settings: UpsSettings) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/")

    def deliver(self, parcel: Parcel) -> str:
        """Set the priority of each workitem about the study that waits; see `Destination`."""
        priority = self._settings.urgent if is_urgent(parcel.situation) else self._settings.routine
        with self._client() as client:
            found = self._find(client, self._key(parcel))
            if not found:
                raise self._not_there(parcel)
            waiting = [one for one in found if _value(one, _STATE) == _SCHEDULED]
            changed = sum(self._update(client, _value(one, _UID), priority) for one in waiting)
        taken_up = len(found) - changed
        said = f"{changed} workitems have priority {priority}"
        return said + (f"; {taken_up} are no longer scheduled and were left alone" if taken_up else "")

    def test(self) -> str:
        """Search for a workitem that there cannot be; see `Destination`."""
        with self._client() as client:
            self._find(client, f"{_REQUEST}.{_KEYS['study']}=2.25.0")
        return "answers a search for workitems"

    def _client(self) -> httpx.Client:
        user = self._settings.username
        auth = (user, secret_in(self._settings.password_file)) if user else None
        return http_client(self._url, self._settings.timeout_s, self._settings.ca, auth)

    def _key(self, parcel: Parcel) -> str:
        """Return the matching key of a search. Raises `RejectedError` when the images do not have its value."""
        by_study = self._settings.find_by == "study"
        value = parcel.situation.job.study_uid if by_study else str(values_of(parcel.situation)["accession"])
        if not value:
            raise RejectedError("the images have no accession number, by which workitems are to be found")
        return f"{_REQUEST}.{_KEYS[self._settings.find_by]}={quote(value, safe='')}"

    def _find(self, client: httpx.Client, key: str) -> list[Mapping[str, Any]]:
        at = origin(self._url)
        url = f"{self._url}/workitems?{key}&includefield={_STATE}&includefield={_PRIORITY}"
        answer = request(client, url, b"", {"Accept": _JSON}, self._settings.timeout_s, _TURNED_DOWN, method="GET")
        if answer.status_code == httpx.codes.NO_CONTENT:
            return []
        if answer.status_code in _TURNED_DOWN:  # never about this study: all searches have the same form
            said = f"{at} answers HTTP {answer.status_code} to a search for workitems"
            raise AwayError(f"{said}; check its address, user and password")
        told = answer.content
        try:
            found = json.loads(told or b"[]")
            return [one for one in found if _value(one, _UID)]
        except (ValueError, TypeError, AttributeError):
            raise NotTakenError(f"{at} answers a search for workitems with something else than DICOM JSON") from None

    def _not_there(self, parcel: Parcel) -> NotTakenError | RejectedError:
        said = "the worklist has no workitem about the study"
        if time.time() - parcel.situation.job.created > self._settings.patience_s:
            return RejectedError(f"{said}, and had none within {self._settings.patience_s:g} s (patience_s)")
        return NotTakenError(f"{said} yet")

    def _update(self, client: httpx.Client, uid: str, priority: str) -> bool:
        """Set the priority of a workitem; return False when it is no longer scheduled."""
        change = {_PRIORITY: {"vr": "CS", "Value": [priority]}}
        url, headers = f"{self._url}/workitems/{quote(uid, safe='')}", {"Content-Type": _JSON, "Accept": _JSON}
        accepted = _NOT_ANY_LONGER | {400}
        for body in ([change], change):  # the standard's examples have an array of one; some servers take the object
            answer = request(client, url, json.dumps(body).encode(), headers, self._settings.timeout_s, accepted)
            if answer.status_code != httpx.codes.BAD_REQUEST:
                return answer.status_code not in _NOT_ANY_LONGER
        raise RejectedError(f"{origin(self._url)} does not take a change of priority (HTTP 400)")


def _value(workitem: Mapping[str, Any], tag: str) -> str:
    """Return the first value of an attribute in DICOM JSON; empty for none."""
    values = workitem.get(tag, {}).get("Value") or [""]
    return str(values[0])
