# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The UIDs of result objects: the same answer always has the same ones, another answer never has them.

They are made from the patient's identity (Patient ID and its issuer), the study, the source series, its slice set, the
model's sha256, the criteria of the finding (thresholds, joining distance) and every other setting that changes the
answer or how it is written, the comparison with the prior head CT (its answer among it), the version of the result
format, and the kind of object. So a repeat is harmless (Orthanc
answers AlreadyStored), and a changed setting gives a new result.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Final
from uuid import UUID, uuid5

from pydicom import Dataset
from pydicom.uid import UID

from appliance.coverage.coverage import Coverage
from appliance.findings.change import Compared
from appliance.imaging.volume import Volume
from appliance.inference.detections import ModelIdentity
from appliance.reading.lesions import Criteria
from appliance.settings import Settings

OWN_UID_ROOT: Final = "2.25."
"""The root of every UID that the appliance makes, which is that of a UUID (PS3.5 B.2)."""
RESULT_FORMAT: Final = 8
"""Increased whenever the same answer is written differently, so that the old objects do not hide the new ones."""

NAMESPACE: Final = UUID("6f0c2a3e-6f5b-4c0e-9d52-3b1f6f4e7a10")


def name_uid(name: str) -> UID:
    """Return the UID that belongs to a name, under the appliance's own namespace."""
    return UID(f"{OWN_UID_ROOT}{uuid5(NAMESPACE, name).int}")


def series_uid_of(sop_instance_uid: str) -> UID:
    """Return the series that a result object is the (first) instance of.

    It follows from the object's own UID, so that an older result can be referenced when only that UID is known.
    """
    return name_uid(f"series of {sop_instance_uid}")


@dataclass(frozen=True)
class AnswerIdentity:
    """What distinguishes one answer from every other; `digest` is the sha256 of everything that it depends on."""

    digest: str

    def sop_uid(self, kind: str) -> UID:
        """Return the SOP Instance UID of one object of the answer."""
        return name_uid(f"{self.digest} {kind}")

    def series_uid(self, kind: str) -> UID:
        """Return the Series Instance UID of a kind of object."""
        return series_uid_of(self.sop_uid(kind))

    def without(self, kind: str) -> AnswerIdentity:
        """Return the identity of this answer without a kind of object, which is written differently."""
        return AnswerIdentity(sha256(f"{self.digest} without {kind}".encode()).hexdigest())

    def tracking_uid(self, what: str) -> UID:
        """Return the tracking UID of a lesion or of the study as a whole, the same in SR and SEG."""
        return name_uid(f"{self.digest} tracking {what}")


def answer_identity(
    volume: Volume,
    model: ModelIdentity,
    criteria: Criteria,
    settings: Settings,
    covered: Coverage,
    compared: Compared = None,
) -> AnswerIdentity:
    """Return the identity of the answer of `model` about `volume`, by these criteria and settings.

    `compared` is its comparison with the prior head CT: with another prior, or another answer about it, the report says
    something else. An answer without one has the identity that it had before there were comparisons.

    A study sent again with a corrected Patient ID has the same series and slices: without the patient in the identity,
    two patients would share one report.
    """
    source = volume.headers[0]
    parts: dict[str, Any] = {
        "format": RESULT_FORMAT,
        "patient": [_text(source, "PatientID"), _text(source, "IssuerOfPatientID")],
        "study": _text(source, "StudyInstanceUID"),
        "series": volume.series_uid,
        "slices": sha256("\n".join(sorted(volume.instance_uids)).encode()).hexdigest(),
        # Whether the same slices are a whole or a part depends on the rest of the study, and the report says which.
        "covered": covered.facts,
        "model": model.sha256,
        "criteria": {name: repr(float(value)) for name, value in asdict(criteria).items()},
        "results": settings.results.model_dump(mode="json"),
    }
    if compared is not None:
        parts["compared"] = compared.identity
    return AnswerIdentity(sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())


def _text(header: Dataset, keyword: str) -> str:
    """Return an attribute as text without its padding, "" when it is missing or empty."""
    return str(header.get(keyword) or "").strip(" \0")
