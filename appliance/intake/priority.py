# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which of the studies that wait is read first: emergencies, then other new scans, then old ones that were sent again.

The words that mark an emergency are the site's (`priority.urgent`): its scanners' names, departments and protocols.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Final

from pydicom import DataElement, Dataset
from pydicom.config import IGNORE
from pydicom.datadict import dictionary_VR, tag_for_keyword

from appliance.imaging.header import text
from appliance.ledger.records import OLD, ROUTINE, URGENT
from appliance.sections.intake import PrioritySettings

LOOKED_AT: Final = (
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "RequestedProcedureDescription",
    "RequestedProcedurePriority",
    "PerformedProcedureStepDescription",
    "ReasonForVisit",
    "AdmittingDiagnosesDescription",
    "RequestingService",
    "InstitutionalDepartmentName",
    "CurrentPatientLocation",
    "StationName",
)
"""Attributes that may mention an emergency."""
_DATES: Final = ("AcquisitionDateTime", "AcquisitionDate", "StudyDate")


def priority(headers: Iterable[Dataset], received_at: float, settings: PrioritySettings) -> int:
    """Return the priority of a study whose last image was received at a Unix time; the highest goes first.

    A study without a readable date counts as new.
    """
    known = tuple(headers)
    oldest = datetime.fromtimestamp(received_at, UTC).date() - timedelta(days=settings.recent_days)
    if max((_scanned_on(header) or date.max for header in known), default=date.max) < oldest:
        return OLD
    return URGENT if any(_names_an_emergency(header, settings.urgent) for header in known) else ROUTINE


def header_of(tags: Mapping[str, str]) -> Dataset:
    """Return what Orthanc noted of a study or series, by keyword, as a header that `priority` can look at."""
    header = Dataset()
    for keyword in (*LOOKED_AT, *_DATES):
        tag = tag_for_keyword(keyword)
        if tag is not None and keyword in tags:
            header.add(DataElement(tag, dictionary_VR(tag), tags[keyword], validation_mode=IGNORE))
    return header


def _names_an_emergency(header: Dataset, words: Iterable[str]) -> bool:
    told = " ".join(text(header, keyword) for keyword in LOOKED_AT).casefold()
    return any(re.search(rf"(?<!\w){re.escape(word.casefold())}(?!\w)", told) for word in words)


def _scanned_on(header: Dataset) -> date | None:
    for keyword in _DATES:
        day = text(header, keyword)[:8]
        try:
            return datetime.strptime(day, "%Y%m%d").date()
        except ValueError:
            continue
    return None
