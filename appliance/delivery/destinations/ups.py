# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A worklist that speaks UPS-RS (PS3.18, 11): the workitems about a study with a hemorrhage get a higher priority.

Only a workitem that nobody has taken up (SCHEDULED) is updated, which the standard allows without a Transaction UID.
One that is IN PROGRESS belongs to whoever claimed it and holds that UID: the study is being read, so it is left alone.
The appliance never claims one, or it would be gone from the readers' list. A priority that others gave is never
lowered: an answer that takes a hemorrhage back restores what stood there before the appliance raised it, no more.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from appliance.delivery.destinations.destination import (
    AwayError,
    NotTakenError,
    Parcel,
    RejectedError,
    UnfinishedError,
    secret_in,
)
from appliance.delivery.destinations.foreign import origin
from appliance.delivery.destinations.former_priorities import FormerPriorities, none_since, note_none_since
from appliance.delivery.destinations.webhook import http_client, request
from appliance.delivery.variables import is_urgent, values_of
from appliance.sections.delivery import UpsSettings

_JSON: Final = "application/dicom+json"
_UID, _STATE, _PRIORITY = "00080018", "00741000", "00741200"
_REQUEST: Final = "0040A370"
_KEYS: Final = {"study": "0020000D", "accession": "00080050"}
_SCHEDULED: Final = "SCHEDULED"
_RANKS: Final = {"LOW": 0, "MEDIUM": 1, "HIGH": 2}
_NOT_ANY_LONGER: Final = frozenset({404, 409, 410})
"""The workitem was taken up, ended or removed since it was found."""
_TURNED_DOWN: Final = frozenset(range(400, 600))
_NO_STUDY: Final = "2.25.0"


class Ups:
    """Sets the priority of workitems."""

    def __init__(self, settings: UpsSettings) -> None:
        self._settings = settings
        self._url = settings.url.rstrip("/")

    def deliver(self, parcel: Parcel) -> str:
        """Set the priority of each workitem about the study that waits; see `Destination`."""
        with self._client() as client:
            value = self._value_of_key(parcel)
            found = self._about(value, self._find(client, value))
            if not found and not FormerPriorities.of(parcel.delivery.handle):
                raise self._not_there(parcel)
            waiting = [one for one in found if _value(one, _STATE) == _SCHEDULED]
            said, gone = (
                self._raise(parcel, client, waiting)
                if is_urgent(parcel.situation)
                else (self._restore(parcel, client, waiting))
            )
        gone += len(found) - len(waiting)
        return said + (f"; {gone} are no longer scheduled and were left alone" if gone else "")

    def test(self) -> str:
        """Search for a workitem that there cannot be; see `Destination`."""
        with self._client() as client:
            found = self._find(client, _NO_STUDY, "study")
        if found:
            raise AwayError(
                f"{origin(self._url)} answers a search for a study that does not exist with {len(found)} workitems: "
                "it ignores by what workitems are searched for, and would have to be searched through to its end"
            )
        return "answers a search for workitems"

    def _client(self) -> httpx.Client:
        user = self._settings.username
        auth = (user, secret_in(self._settings.password_file)) if user else None
        return http_client(self._url, self._settings.timeout_s, self._settings.ca, auth)

    def _value_of_key(self, parcel: Parcel) -> str:
        """Return by what workitems are found. Raises `RejectedError` when the images do not have it."""
        by_study = self._settings.find_by == "study"
        value = parcel.situation.job.study_uid if by_study else str(values_of(parcel.situation)["accession"])
        if not value:
            raise RejectedError("the images have no accession number, by which workitems are to be found")
        return value

    def _find(self, client: httpx.Client, value: str, find_by: str = "") -> list[Mapping[str, Any]]:
        """Return the workitems that the worklist finds; it may ignore by what they are searched for."""
        at = origin(self._url)
        key = f"{_REQUEST}.{_KEYS[find_by or self._settings.find_by]}={quote(value, safe='')}"
        fields = "".join(f"&includefield={tag}" for tag in (_STATE, _PRIORITY, _REQUEST))
        url = f"{self._url}/workitems?{key}{fields}"
        answer = request(client, url, b"", {"Accept": _JSON}, self._settings.timeout_s, _TURNED_DOWN, method="GET")
        if answer.status_code == httpx.codes.NO_CONTENT:
            return []
        if answer.status_code in _TURNED_DOWN:  # never about this study: all searches have the same form
            said = f"{at} answers HTTP {answer.status_code} to a search for workitems"
            raise AwayError(f"{said}; check its address, user and password")
        try:
            found = json.loads(answer.content or b"[]")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
            raise NotTakenError(f"{at} answers a search for workitems with something else than DICOM JSON")
        return [one for one in found if _value(one, _UID)]

    def _about(self, value: str, found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """Return the workitems that name the study or accession number themselves: others are other patients'.

        Raises `RejectedError` when none of them says what it is about.
        """
        tag = _KEYS[self._settings.find_by]
        named = [(one, _named(one, tag)) for one in found]
        if found and not any(names for _, names in named):
            raise RejectedError(
                f"{origin(self._url)} finds workitems and does not say about which study they are "
                f"({_KEYS[self._settings.find_by]} in {_REQUEST}), so none was changed"
            )
        return [one for one, names in named if value.strip() in names]

    def _not_there(self, parcel: Parcel) -> UnfinishedError | RejectedError:
        """Return what is said where there is no workitem: it is waited for, while others pass."""
        said = "the worklist has no workitem about the study"
        now = time.time()
        since = none_since(parcel.delivery.handle)
        if since is None or since < parcel.delivery.created:  # a person has let it be tried once more
            since = now
        if now - since > self._settings.patience_s:
            return RejectedError(f"{said}, and had none within {self._settings.patience_s:g} s (patience_s)")
        return UnfinishedError(f"{said} yet", note_none_since(since))

    def _raise(self, parcel: Parcel, client: httpx.Client, waiting: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
        """Give workitems the urgent priority; return what was done, and how many are no longer scheduled.

        What stood there before is noted before it is changed, as a service that is killed cannot ask for it any more.
        """
        urgent = self._settings.urgent
        raised, gone = FormerPriorities.of(parcel.delivery.handle), 0
        for one in waiting:
            uid, before = _value(one, _UID), _value(one, _PRIORITY)
            if _RANKS.get(before, -1) >= _RANKS[urgent]:
                continue
            more = raised.with_former(uid, before)
            if self._change(parcel, client, uid, urgent, raised, more):
                raised = more
            else:
                gone += 1
        said = f"{len(waiting) - gone} workitems have priority {urgent}" + (" or higher" if urgent != "HIGH" else "")
        return said + (f"; before: {raised.text}" if raised else ""), gone

    def _restore(self, parcel: Parcel, client: httpx.Client, waiting: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
        """Give workitems that earlier answers raised the priority back that stood there; return as `_raise` does."""
        raised = FormerPriorities.of(*(text for one in parcel.earlier for text in (one.receipt, one.handle)))
        restored, gone = FormerPriorities.of(parcel.delivery.handle), 0
        told: list[str] = []
        for one in waiting:
            uid, now = _value(one, _UID), _value(one, _PRIORITY)
            former = raised.former(uid)
            if former is None or now not in ("", self._settings.urgent):  # ours no longer: somebody has set another
                continue
            former = former or self._settings.routine
            more = restored.with_restored(uid)
            if self._change(parcel, client, uid, former, restored, more):
                restored = more
                told.append(former)
            else:
                gone += 1
        counted = ", ".join(f"{told.count(one)} workitems have priority {one} again" for one in dict.fromkeys(told))
        left = len(waiting) - gone - len(told)
        alone = f"{left} workitems keep their priority, which the appliance did not raise" if left else ""
        said = "; ".join(filter(None, (counted, alone))) or "0 workitems are scheduled"
        return said + (f"; restored: {restored.text}" if restored else ""), gone

    def _change(
        self,
        parcel: Parcel,
        client: httpx.Client,
        uid: str,
        priority: str,
        before: FormerPriorities,
        after: FormerPriorities,
    ) -> bool:
        """Set the priority of a workitem as `_update` does, and note `after` first, which holds once it is set.

        Raises `UnfinishedError` where something is known that the next try has to know too.
        """
        parcel.note(after.text)
        try:
            return self._update(parcel, client, uid, priority)
        except AwayError as error:  # this one was not changed
            if not before:
                raise
            raise UnfinishedError(str(error), before.text) from error
        except NotTakenError as error:  # it may have been changed
            raise UnfinishedError(str(error), after.text) from error

    def _update(self, parcel: Parcel, client: httpx.Client, uid: str, priority: str) -> bool:
        """Set the priority of a workitem; return False when it is no longer scheduled."""
        change = {_PRIORITY: {"vr": "CS", "Value": [priority]}}
        url, headers = f"{self._url}/workitems/{quote(uid, safe='')}", {"Content-Type": _JSON, "Accept": _JSON}
        accepted = _NOT_ANY_LONGER | {400}
        for body in ([change], change):  # the standard's examples have an array of one; some servers take the object
            parcel.go_on()
            answer = request(client, url, json.dumps(body).encode(), headers, self._settings.timeout_s, accepted)
            if answer.status_code != httpx.codes.BAD_REQUEST:
                return answer.status_code not in _NOT_ANY_LONGER
        # Some servers say 400, not 409, of a workitem that was claimed meanwhile: its Transaction UID is missing.
        parcel.go_on()
        if self._is_scheduled(client, url):
            raise RejectedError(f"{origin(self._url)} does not take a change of priority (HTTP 400)")
        return False

    def _is_scheduled(self, client: httpx.Client, url: str) -> bool:
        """Return whether a workitem waits still; True too where the worklist does not say."""
        answer = request(client, url, b"", {"Accept": _JSON}, self._settings.timeout_s, _TURNED_DOWN, method="GET")
        if answer.status_code in _TURNED_DOWN:
            return answer.status_code not in _NOT_ANY_LONGER
        try:
            told = json.loads(answer.content or b"[]")
            return (_value(told[0] if isinstance(told, list) else told, _STATE) or _SCHEDULED) == _SCHEDULED
        except (ValueError, LookupError, RecursionError):
            return True


def _named(workitem: Mapping[str, Any], tag: str) -> set[str]:
    """Return the values that a workitem has of an attribute, in the requests that it refers to and of its own."""
    found = (_value(one, tag) for one in (workitem, *_values(workitem, _REQUEST)))
    return {value for value in found if value}


def _value(workitem: Any, tag: str) -> str:
    """Return the first value of an attribute in DICOM JSON; empty for none."""
    values = _values(workitem, tag)
    text = str(values[0]) if values and values[0] is not None else ""
    return text.encode("utf-8", "replace").decode().strip(" \0")  # JSON may have half a character, which no text is


def _values(workitem: Any, tag: str) -> list[Any]:
    """Return the values of an attribute; none where what the worklist sent has another form than DICOM JSON."""
    attribute = workitem.get(tag) if isinstance(workitem, Mapping) else None
    values = attribute.get("Value") if isinstance(attribute, Mapping) else None
    return values if isinstance(values, list) else []
