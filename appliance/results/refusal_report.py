# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The report about a study that could not be read: a TID 1500 SR that says so and why, and nothing about hemorrhage.

Without it a reader could take the missing report for a negative one. It is written only for studies with CT images,
and is superseded like any answer once the study can be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from typing import Final

import numpy as np
from pydicom import Dataset
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from appliance import __version__
from appliance.errors import Refusal, RefusalCode
from appliance.findings.outcome import Outcome
from appliance.imaging.header import integer
from appliance.imaging.instances import Instance
from appliance.inference.detections import ModelIdentity
from appliance.results import codes, kinds
from appliance.results import content_items as items
from appliance.results.content_items import Relation
from appliance.results.heading import MANUFACTURER, MODEL_NAME, Heading, heading_of
from appliance.results.identity import RESULT_FORMAT, AnswerIdentity, series_uid_of
from appliance.results.structured_report import SOP_CLASSES
from appliance.results.wording import RESEARCH_USE
from appliance.settings import Settings

NOT_READ: Final = "NOT READ. This report says nothing about hemorrhage."
_CT: Final = frozenset({CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage})
_NO_MODEL: Final = ModelIdentity("no model", "none", "none")
"""No model read the study, or none gave a result."""
_QUALITY: Final = frozenset(
    {
        RefusalCode.NO_POSITION,
        RefusalCode.NO_RESCALE,
        RefusalCode.BAD_GEOMETRY,
        RefusalCode.TOO_FEW_SLICES,
        RefusalCode.MISSING_SLICE,
        RefusalCode.DUPLICATE_POSITION,
        RefusalCode.BAD_PIXELS,
        RefusalCode.IMPLAUSIBLE_HU,
    }
)
"""Refusals that are about the images themselves, not about which images they are."""
_MOST_REASONS: Final = 40
_MOST_SERIES: Final = 40
_LONGEST_REASON: Final = 500


def refusal_report(
    instances: Sequence[Instance],
    refusals: Sequence[Refusal],
    *,
    instance_set: str,
    settings: Settings,
    created: datetime,
    supersedes: tuple[str, str] | None = None,
) -> Dataset | None:
    """Return the SR about a study that could not be read; None for a study without a CT image.

    Parameters
    ----------
    instances: those of the study that can be read as DICOM.
    refusals: why it was not read, in the order of the report.
    instance_set: identifies all instances of the study: with other instances it is another report.
    created: when the study was refused, with its time zone.
    supersedes: SOP Class UID and SOP Instance UID of the older such report that this one replaces.
    """
    by_series: dict[str, Instance] = {}
    for instance in instances:
        if str(instance.header.get("SOPClassUID", "")) in _CT:
            by_series.setdefault(instance.series_uid, instance)
    if not by_series:
        return None
    shown = [instance.header for instance in by_series.values()][:_MOST_SERIES]
    identity = _identity(shown[0], instance_set, refusals, settings)
    head = heading_of(shown[0], identity, created, settings.results.institution, _NO_MODEL)
    report = Dataset()
    head.write(report, kinds.REFUSAL, SOP_CLASSES[settings.results.sr_sop_class])
    report.ReferencedPerformedProcedureStepSequence = []
    report.PerformedProcedureCodeSequence = []
    report.CompletionFlag = "PARTIAL"
    report.CompletionFlagDescription = f"Not read: {refusals[0].code}"
    report.VerificationFlag = "UNVERIFIED"
    report.PreliminaryFlag = "FINAL"
    report.CurrentRequestedProcedureEvidenceSequence = [
        items.evidence(
            str(shown[0].StudyInstanceUID),
            [(str(one.SeriesInstanceUID), [(str(one.SOPClassUID), str(one.SOPInstanceUID))]) for one in shown],
        )
    ]
    if supersedes is not None:
        older_class, older = supersedes
        report.PredecessorDocumentsSequence = [
            items.evidence(report.StudyInstanceUID, [(series_uid_of(older), [(older_class, older)])])
        ]
    report.update(_root(shown, refusals, head))
    head.fit_words(report)
    return report


def _identity(source: Dataset, instance_set: str, refusals: Sequence[Refusal], settings: Settings) -> AnswerIdentity:
    parts = {
        "format": RESULT_FORMAT,
        "patient": [str(source.get(keyword) or "").strip(" \0") for keyword in ("PatientID", "IssuerOfPatientID")],
        "study": str(source.StudyInstanceUID),
        "instances": instance_set,
        "refused": sorted({(refusal.code.value, refusal.series_uid or "") for refusal in refusals}),
        "results": settings.results.model_dump(mode="json"),
    }
    return AnswerIdentity(sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest())


def _root(shown: Sequence[Dataset], refusals: Sequence[Refusal], head: Heading) -> Dataset:
    modality = items.code(codes.MODALITY, codes.COMPUTED_TOMOGRAPHY, Relation.ACQUIRED)
    images = [items.image(codes.SOURCE, str(one.SOPClassUID), str(one.SOPInstanceUID)) for one in shown]
    library = items.container(codes.IMAGE_LIBRARY_GROUP, [modality, *images])
    return items.container(
        codes.IMAGING_MEASUREMENT_REPORT,
        [
            items.code(codes.LANGUAGE, codes.ENGLISH, Relation.MODIFIES),
            items.code(codes.OBSERVER_TYPE, codes.DEVICE, Relation.CONTEXT),
            items.uid(codes.DEVICE_UID, head.device_uid, Relation.CONTEXT),
            items.text(codes.DEVICE_NAME, MODEL_NAME, Relation.CONTEXT),
            items.text(codes.DEVICE_MANUFACTURER, MANUFACTURER, Relation.CONTEXT),
            items.text(codes.DEVICE_MODEL, f"{MODEL_NAME} {__version__}", Relation.CONTEXT),
            items.code(codes.PROCEDURE_REPORTED, codes.CT_OF_ANYTHING, Relation.MODIFIES),
            items.container(codes.IMAGE_LIBRARY, [library]),
            items.container(codes.IMAGING_MEASUREMENTS, [_group(shown, refusals, head)]),
        ],
        relation=None,
        template="1500",
    )


def _group(shown: Sequence[Dataset], refusals: Sequence[Refusal], head: Heading) -> Dataset:
    """TID 1501 about the whole study: the presence of hemorrhage is undetermined, because no algorithm succeeded."""
    is_unusable = any(refusal.code in _QUALITY for refusal in refusals)
    told = list(dict.fromkeys(_sentence(refusal) for refusal in refusals))
    more = len(told) - _MOST_REASONS
    lines = [RESEARCH_USE, NOT_READ, *told[:_MOST_REASONS], *([f"And {more} further reasons."] if more > 0 else [])]
    return items.container(
        codes.MEASUREMENT_GROUP,
        [
            items.text(codes.TRACKING_IDENTIFIER, "Study", Relation.CONTEXT),
            items.uid(codes.TRACKING_UID, head.identity.tracking_uid("study"), Relation.CONTEXT),
            items.code(codes.FINDING, codes.INTRACRANIAL_HEMORRHAGE),
            items.code(codes.PRESENCE, codes.PRESENCES[Outcome.UNREAD]),
            *([items.code(codes.QUALITY_FINDING, codes.UNUSABLE)] if is_unusable else []),
            items.code(codes.SUMMARY_OF_PROCESSING, codes.NONE_SUCCEEDED),
            *_frame(shown),
            items.text(codes.COMMENT, "\n".join(lines)),
        ],
        template="1501",
    )


def _frame(shown: Sequence[Dataset]) -> list[Dataset]:
    """Return a frame around the first image whose size is known: OHIF shows black where nothing has coordinates."""
    for header in shown:
        rows, columns = integer(header, "Rows"), integer(header, "Columns")
        if rows and columns and rows > 0 and columns > 0:
            corners = np.array([(0, 0), (0, columns), (rows, columns), (rows, 0), (0, 0)], np.float64)
            image = items.image(
                codes.SOURCE, str(header.SOPClassUID), str(header.SOPInstanceUID), relation=Relation.SELECTED
            )
            return [items.polyline(codes.SOURCE_OF_MEASUREMENT, corners, image, Relation.CONTAINS)]
    return []


def _sentence(refusal: Refusal) -> str:
    """Return a refusal for people, with its code, which rules of the PACS can search for."""
    where = f" Series {refusal.series_uid}." if refusal.series_uid else ""
    return f"{refusal.code}: {refusal.reason[:_LONGEST_REASON].rstrip('.')}.{where}"
