# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation: DICOM SEG, BINARY, one segment for each lesion, on the source's own planes as they were stored.

Tilted planes stay tilted and uneven positions stay uneven: every frame carries its source slice's position.
"""

from __future__ import annotations

from typing import Final

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from appliance.findings.finding import Finding, Lesion
from appliance.imaging.volume import Volume
from appliance.results import codes, kinds
from appliance.results.colours import COLOURS
from appliance.results.heading import MANUFACTURER, MODEL_NAME, Heading
from appliance.results.identity import name_uid
from appliance.results.structured_report import algorithm_parameters, lesion_key, tracking_identifier

EVEN_WITHIN_MM: Final = 0.01
"""Slice distances that differ by less are one spacing."""

_PLANE_KEYWORDS: Final = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)


def segmentation(volume: Volume, finding: Finding, heading: Heading) -> Dataset:
    """Return the SEG of a finding with at least one lesion; segment numbers are lesion numbers.

    Only slices with blood on them become frames, and only those are handed to highdicom.
    """
    slices = sorted({index for lesion in finding.lesions for index in lesion.slices})
    first, last = slices[0], slices[-1]
    # A run of slices is no copy, which would be as large as the volume where blood is everywhere.
    run = slice(first, last + 1) if len(slices) == last + 1 - first else slices
    planes = np.ascontiguousarray(volume.turn.to_source(finding.lesion_map)[run])
    measures = _measures(volume)
    algorithm = hd.AlgorithmIdentificationSequence(
        name=heading.model.name,
        version=heading.model.version,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        source=MANUFACTURER,
        parameters=algorithm_parameters(heading.model, finding.criteria),
    )
    dataset: Dataset = hd.seg.Segmentation(
        source_images=[_plane(volume, index, measures) for index in slices],
        pixel_array=planes,
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_segment(lesion, heading, algorithm) for lesion in finding.lesions],
        series_instance_uid=heading.identity.series_uid(kinds.SEG.name),
        series_number=kinds.SEG.series_number,
        sop_instance_uid=heading.identity.sop_uid(kinds.SEG.name),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=heading.model.version,
        device_serial_number=heading.model.sha256[:16],
        content_label="HEMORRHAGE",
        content_description="Research use only, trained on simulated scans",
        omit_empty_frames=True,
    )
    dataset["PixelData"].VR = "OB"
    dataset.ContentCreatorName = ""
    # What highdicom draws by lot or by the clock: with it a repeat would differ. The heading names the equipment.
    del dataset.ContributingEquipmentSequence
    organization = heading.identity.sop_uid("dimension organization")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    heading.write(dataset, kinds.SEG, SegmentationStorage)
    return dataset


def _plane(volume: Volume, index: int, measures: dict[str, float]) -> Dataset:
    """Return what highdicom needs of a source slice and no more; patient and study are written by the heading."""
    header = volume.headers[index]
    plane = Dataset()
    for keyword in _PLANE_KEYWORDS:
        plane[keyword] = header[keyword]
    for keyword, value in measures.items():
        setattr(plane, keyword, value)
    # Type 1, and yet some scanners leave it out; without it a viewer could not lay the mask over the scan.
    plane.FrameOfReferenceUID = header.get("FrameOfReferenceUID") or name_uid(f"frame of {volume.series_uid}")
    plane.PositionReferenceIndicator = header.get("PositionReferenceIndicator", "")
    for empty in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(plane, empty, "")
    plane.StudyDate = plane.StudyTime = None
    return plane


def _measures(volume: Volume) -> dict[str, float]:
    """Return slice thickness and, only where all slices lie evenly, the spacing between them, mm."""
    gaps = np.diff(volume.positions_mm)
    thickness = volume.headers[0].get("SliceThickness") or round(float(np.median(gaps)), 4)
    measures = {"SliceThickness": float(thickness)}
    if np.ptp(gaps) < EVEN_WITHIN_MM:
        measures["SpacingBetweenSlices"] = round(float(gaps.mean()), 4)
    return measures


def _segment(
    lesion: Lesion, heading: Heading, algorithm: hd.AlgorithmIdentificationSequence
) -> hd.seg.SegmentDescription:
    return hd.seg.SegmentDescription(
        segment_number=lesion.number,
        segment_label=tracking_identifier(lesion),
        segmented_property_category=codes.ABNORMAL_STRUCTURE,
        segmented_property_type=codes.HEMORRHAGE,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=heading.identity.tracking_uid(lesion_key(lesion)),
        tracking_id=tracking_identifier(lesion),
        anatomic_regions=[codes.SITES[lesion.type]],
        display_color=hd.color.CIELabColor.from_rgb(*COLOURS[lesion.type]),
    )
