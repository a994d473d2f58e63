# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Parcels to try destinations with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from appliance.delivery.destinations.destination import Parcel
from appliance.delivery.variables import Situation
from appliance.ledger.records import Delivery, Job
from appliance.ledger.states import DeliveryState
from tests.appliance.delivery.jobs import job

HEADER = {
    "PatientName": "Müller^Ann&a|x",
    "PatientID": "12^3",
    "PatientBirthDate": "19600102",
    "PatientSex": "F",
    "AccessionNumber": "ER-12",
    "StudyDate": "20260102",
    "StudyTime": "101112.50",
    "StudyDescription": "CT head",
}
KEY = "25fe7e2a-f046-592c-9ec1-0d9f4cd0f6a1"


def with_handle(one: Parcel, handle: str) -> Parcel:
    """Return a parcel whose transfer was begun in an earlier try."""
    return replace(one, delivery=replace(one.delivery, handle=handle))


def parcel(
    header: dict[str, Any] | None = None,
    replaces: str = "",
    rule: str = "a rule",
    first: bool = False,
    beside: tuple[Job, ...] = (),
    **changes: Any,
) -> Parcel:
    """Return a parcel with a message about an answer; `changes` are of its job, and `beside` other jobs that stand."""
    delivery = Delivery(
        3, KEY, "there", 7, "s", "1.2", rule, DeliveryState.SENDING, 1.0, 1.0, first=first, follows=2 if replaces else 0
    )
    earlier = job(id=6, sr_uid=replaces) if replaces else None
    seen = Situation(job(sr_uid="1.2.7", **changes), HEADER if header is None else header, {}, None, earlier, beside)
    return Parcel(delivery, seen, (), replaces, corrects=replaces != "")
