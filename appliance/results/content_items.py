# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The content items that SR and key object documents are made of (PS3.3 C.17.3), one function for each value type.

They are made here rather than with highdicom's classes, which validate and copy the tree several times: a report of
four groups is ten times as fast, and the tests read it back with highdicom, dciodvfy, dsrdump and dcmqi.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.sr.coding import Code


class Relation(StrEnum):
    """How a content item belongs to its parent."""

    CONTAINS = "CONTAINS"
    MODIFIES = "HAS CONCEPT MOD"
    CONTEXT = "HAS OBS CONTEXT"
    ACQUIRED = "HAS ACQ CONTEXT"
    INFERRED = "INFERRED FROM"
    SELECTED = "SELECTED FROM"


def code_item(code: Code) -> Dataset:
    """Return a code as the item of a code sequence."""
    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme_designator
    item.CodeMeaning = code.meaning
    return item


def container(
    name: Code, children: Iterable[Dataset], relation: Relation | None = Relation.CONTAINS, template: str | None = None
) -> Dataset:
    """Return a CONTAINER item; the root has no relation. `template` is a number of PS3.16."""
    item = _item("CONTAINER", name, relation)
    item.ContinuityOfContent = "SEPARATE"
    if template is not None:
        used = Dataset()
        used.MappingResource = "DCMR"
        used.TemplateIdentifier = template
        item.ContentTemplateSequence = [used]
    item.ContentSequence = list(children)
    return item


def text(name: Code, value: str, relation: Relation = Relation.CONTAINS) -> Dataset:
    """Return a TEXT item."""
    item = _item("TEXT", name, relation)
    item.TextValue = value
    return item


def code(name: Code, value: Code, relation: Relation = Relation.CONTAINS) -> Dataset:
    """Return a CODE item."""
    item = _item("CODE", name, relation)
    item.ConceptCodeSequence = [code_item(value)]
    return item


def uid(name: Code, value: str, relation: Relation = Relation.CONTAINS) -> Dataset:
    """Return a UIDREF item."""
    item = _item("UIDREF", name, relation)
    item.UID = value
    return item


def number(
    name: Code, value: float, unit: Code, children: Iterable[Dataset], relation: Relation = Relation.CONTAINS
) -> Dataset:
    """Return a NUM item with the items that describe the measurement."""
    measured = Dataset()
    measured.MeasurementUnitsCodeSequence = [code_item(unit)]
    measured.NumericValue = f"{value:.6g}"
    item = _item("NUM", name, relation)
    item.MeasuredValueSequence = [measured]
    item.ContentSequence = list(children)
    return item


def image(
    name: Code,
    sop_class: str,
    sop_instance: str,
    segment: int | None = None,
    relation: Relation = Relation.CONTAINS,
) -> Dataset:
    """Return an IMAGE item: a reference to an image, or to one segment of a segmentation."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class
    reference.ReferencedSOPInstanceUID = sop_instance
    if segment is not None:
        reference.ReferencedSegmentNumber = segment
    item = _item("IMAGE", name, relation)
    item.ReferencedSOPSequence = [reference]
    return item


def polyline(name: Code, points: NDArray[np.float64], source: Dataset, relation: Relation) -> Dataset:
    """Return a SCOORD item: a line on an image.

    `points` [N, 2] are (row, column) with the first pixel from 0 to 1, which is how DICOM counts too (PS3.3 C.18.6);
    `source` is the IMAGE item that they are selected from.
    """
    item = _item("SCOORD", name, relation)
    item.GraphicType = "POLYLINE"
    # FL has 32 bits: rounded here, so that the object in memory and its file say the same.
    item.GraphicData = points[:, ::-1].astype(np.float32).ravel().tolist()
    item.ContentSequence = [source]
    return item


def composite(name: Code, sop_class: str, sop_instance: str) -> Dataset:
    """Return a COMPOSITE item: a reference to an object that is no image, as another report."""
    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class
    reference.ReferencedSOPInstanceUID = sop_instance
    item = _item("COMPOSITE", name, Relation.CONTAINS)
    item.ReferencedSOPSequence = [reference]
    return item


def evidence(study_uid: str, series: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> Dataset:
    """Return an item of a Hierarchical SOP Instance Reference: series with (SOP class, SOP instance) of each object."""
    study = Dataset()
    study.StudyInstanceUID = study_uid
    study.ReferencedSeriesSequence = []
    for series_uid, instances in series:
        one = Dataset()
        one.SeriesInstanceUID = series_uid
        one.ReferencedSOPSequence = []
        for sop_class, sop_instance in instances:
            reference = Dataset()
            reference.ReferencedSOPClassUID = sop_class
            reference.ReferencedSOPInstanceUID = sop_instance
            one.ReferencedSOPSequence.append(reference)
        study.ReferencedSeriesSequence.append(one)
    return study


def _item(value_type: str, name: Code, relation: Relation | None) -> Dataset:
    item = Dataset()
    if relation is not None:
        item.RelationshipType = relation.value
    item.ValueType = value_type
    item.ConceptNameCodeSequence = [code_item(name)]
    return item
