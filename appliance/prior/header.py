# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What of a DICOM header the search for a prior looks at, as texts by keyword: the form in which Orthanc gives it."""

from __future__ import annotations

from typing import Final

from pydicom import Dataset

from appliance.imaging.header import text

LOOKED_AT: Final = (
    "PatientID",
    "IssuerOfPatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "SeriesDate",
    "SeriesTime",
    "StudyDate",
    "StudyTime",
    "TimezoneOffsetFromUTC",
)


def texts_of(header: Dataset) -> dict[str, str]:
    """Return the attributes that are looked at; an empty text for one that is missing."""
    return {keyword: text(header, keyword) for keyword in LOOKED_AT}
