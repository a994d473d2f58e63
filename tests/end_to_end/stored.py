# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Result objects as a reader of DICOM meets them: looked into with pydicom alone, by codes and attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom import Dataset

PRESENCE = "121052"
FINDING_PRESENT, FINDING_ABSENT = "52101004", "272519000"
PROBABILITY = "122157"
VOLUME = "118565006"


class Stored:
    """The results that Orthanc holds of one study."""

    MODALITIES: ClassVar = {"SR": "reports", "SEG": "segmentations", "OT": "key images", "KO": "key object selections"}

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        self.all = list(datasets)
        self.reports = self._of("SR")
        self.segmentations = self._of("SEG")
        self.key_images = self._of("OT")
        self.key_objects = self._of("KO")

    def _of(self, modality: str) -> list[Dataset]:
        # Captures of the scanner, the dose page for one, are of modality OT too; only results have numbers from 9000.
        found = [one for one in self.all if one.Modality == modality and int(one.get("SeriesNumber") or 0) >= 9000]
        return sorted(found, key=lambda one: int(one.InstanceNumber))

    @property
    def report(self) -> Dataset:
        """The one SR."""
        (report,) = self.reports
        return report

    @property
    def segmentation(self) -> Dataset:
        """The one SEG."""
        (segmentation,) = self.segmentations
        return segmentation


def content(item: Dataset, concept: str) -> Iterator[Dataset]:
    """Yield the content items of an SR whose concept name has that code."""
    for child in item.get("ContentSequence", ()):
        name = child.get("ConceptNameCodeSequence")
        if name and name[0].CodeValue == concept:
            yield child
        yield from content(child, concept)


def codes(report: Dataset, concept: str) -> list[str]:
    """Return the coded values of an SR under a concept."""
    return [item.ConceptCodeSequence[0].CodeValue for item in content(report, concept)]


def numbers(report: Dataset, concept: str) -> list[float]:
    """Return the measured values of an SR under a concept."""
    return [float(item.MeasuredValueSequence[0].NumericValue) for item in content(report, concept)]


def frames(segmentation: Dataset) -> Iterator[tuple[int, str, NDArray[np.float64], NDArray[np.bool_]]]:
    """Yield each frame of a SEG: segment number, SOP Instance UID of the source image, position [3] in mm, mask."""
    masks = segmentation.pixel_array.astype(bool).reshape(-1, segmentation.Rows, segmentation.Columns)
    (shared,) = segmentation.SharedFunctionalGroupsSequence
    for groups, mask in zip(segmentation.PerFrameFunctionalGroupsSequence, masks, strict=True):
        # What all frames have in common stands once: the segment too, when there is one.
        segment = (groups if "SegmentIdentificationSequence" in groups else shared).SegmentIdentificationSequence[0]
        yield (
            int(segment.ReferencedSegmentNumber),
            str(groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID),
            np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float),
            mask,
        )


def segments(segmentation: Dataset, sources: Sequence[Path]) -> dict[int, NDArray[np.bool_]]:
    """Return the mask of each segment [Z, Y, X] on the files `sources`, in their order and as they are stored."""
    index = {str(header(file).SOPInstanceUID): z for z, file in enumerate(sources)}
    numbered = {int(one.SegmentNumber) for one in segmentation.SegmentSequence}
    shape = (len(sources), segmentation.Rows, segmentation.Columns)
    found = {number: np.zeros(shape, bool) for number in sorted(numbered)}
    for number, uid, _, mask in frames(segmentation):
        found[number][index[uid]] |= mask
    return found


def header(file: Path) -> Dataset:
    """Return a DICOM file without its pixels."""
    return pydicom.dcmread(file, stop_before_pixels=True)


def dice(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the Dice coefficient of two masks."""
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))
