# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What Orthanc says of its change log, its studies and its series, as records."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

_ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")


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
        """What distinguishes this entry from one with the same number in a restored or fresh database."""
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

    `modality` is that of the first instance that arrived, empty when it had none; a series may hold other kinds of
    object too. The same is true of `tags`, Orthanc's main DICOM tags of the series by keyword.
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
    """A study that Orthanc holds; `tags` are its main DICOM tags by keyword, from the first instance that arrived.

    `uid` is its Study Instance UID, or `id` where DICOM allows no such UID (`uids`): the ledger can keep that, and the
    study's images are refused for it (`imaging.instances`).
    """

    id: str
    uid: str
    series: tuple[str, ...]
    tags: Mapping[str, str] = field(default_factory=dict)


def is_orthanc_id(text: str) -> bool:
    """Return whether `text` has the form of an Orthanc identifier (five groups of eight hexadecimal digits)."""
    return _ORTHANC_ID.fullmatch(text) is not None


def text(value: object) -> str:
    """Return a value of an answer that has to be a text. Raises `TypeError` when it is none."""
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} instead of a text")
    return value


def texts(value: object) -> list[str]:
    """Return a value of an answer that has to be a list of texts. Raises `TypeError` when it is none."""
    if not isinstance(value, list):
        raise TypeError(f"{type(value).__name__} instead of a list")
    return [text(one) for one in value]


def texts_by_name(value: object) -> dict[str, str]:
    """Return the texts of a value of an answer that has to be an object; a tag without a value is left out.

    Raises `TypeError` when it is no object.
    """
    if not isinstance(value, dict):
        raise TypeError(f"{type(value).__name__} instead of an object")
    return {name: one for name, one in value.items() if isinstance(one, str)}


def number(value: object) -> int:
    """Return a value of an answer that has to be a number of 0 or more that a database takes.

    Raises `TypeError` when it is no whole number, and `ValueError` when it is outside that range.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{type(value).__name__} instead of a number")
    if not 0 <= value < 2**63:
        raise ValueError("a number out of range")
    return value


def orthanc_time(text: str) -> float:
    """Return the Unix time of Orthanc's `YYYYMMDDTHHMMSS`, which is UTC; 0 when there is none."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0
