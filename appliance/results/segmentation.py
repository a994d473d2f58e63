# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The segmentation: DICOM SEG, BINARY, one segment for each lesion, on the source's own planes as they were stored.

Tilted planes stay tilted and uneven positions stay uneven: every frame carries its source slice's position, and its
thickness if the slices differ in it. Planes are written from the volume's geometry, not copied from headers, which
write one plane in many ways.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from itertools import groupby
from typing import Final

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import DSfloat

from appliance.findings.finding import Finding, Lesion
from appliance.imaging.header import frame_of_reference
from appliance.imaging.volume import Volume
from appliance.results import codes, kinds
from appliance.results.colours import COLOURS
from appliance.results.heading import MANUFACTURER, MODEL_NAME, Heading
from appliance.results.identity import name_uid
from appliance.results.structured_report import algorithm_parameters, lesion_key, tracking_identifier

EVEN_WITHIN_MM: Final = 0.01
"""Slice distances that differ by less are one spacing."""


def segmentation(volume: Volume, finding: Finding, heading: Heading) -> Dataset:
    """Return the SEG of a finding with at least one lesion; segment numbers are lesion numbers.

    Only slices with blood on them become frames, and only those are handed to highdicom.
    """
    slices = sorted({index for lesion in finding.lesions for index in lesion.slices})
    first, last = slices[0], slices[-1]
    # A run of slices is a view: with blood everywhere, a copy would be as large as the volume.
    run = slice(first, last + 1) if len(slices) == last + 1 - first else slices
    planes = np.ascontiguousarray(volume.turn.to_source(finding.lesion_map)[run])
    thicknesses = volume.slice_thicknesses_mm
    algorithm = hd.AlgorithmIdentificationSequence(
        name=heading.model.name,
        version=heading.model.version,
        family=codes.ARTIFICIAL_INTELLIGENCE,
        source=MANUFACTURER,
        parameters=algorithm_parameters(heading.model, finding.criteria),
    )
    dataset: Dataset = hd.seg.Segmentation(
        source_images=[_plane(volume, index) for index in slices],
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
    # highdicom takes these from a random number or the clock, so a repeat would differ. The heading names the
    # equipment.
    del dataset.ContributingEquipmentSequence
    organization = heading.identity.sop_uid("dimension organization")
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    _write_thicknesses(dataset, dict(zip(volume.instance_uids, thicknesses, strict=True)))
    _write_source_series(dataset, [volume.headers[index] for index in slices])
    heading.write(dataset, kinds.SEG, SegmentationStorage)
    return dataset


def _plane(volume: Volume, index: int) -> Dataset:
    """Return only what highdicom needs of a source slice; the heading writes patient and study."""
    header, first = volume.headers[index], volume.headers[0]
    plane = Dataset()
    plane.SOPClassUID, plane.SOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
    # highdicom wants these equal on all slices, which a stack of several parts need not have (`_write_source_series`).
    plane.StudyInstanceUID, plane.SeriesInstanceUID = first.StudyInstanceUID, volume.series_uid
    plane.Modality = "CT"
    plane.Rows, plane.Columns = volume.stored_matrix
    plane.PixelSpacing = _decimals(volume.stored_spacing_mm)
    plane.ImageOrientationPatient = _decimals(np.concatenate(volume.directions))
    plane.ImagePositionPatient = _decimals(volume.origins_mm[index])
    plane.SliceThickness = DSfloat(volume.slice_thicknesses_mm[index], auto_format=True)
    intervals = np.diff(volume.positions_mm)
    if len(intervals) and np.ptp(intervals) < EVEN_WITHIN_MM:
        plane.SpacingBetweenSlices = DSfloat(round(float(intervals.mean()), 4), auto_format=True)
    # Type 1, yet some scanners leave it out; without it a viewer could not overlay the mask on the scan.
    frames = [uid for header in volume.headers if (uid := frame_of_reference(header))]
    plane.FrameOfReferenceUID = frames[0] if frames else name_uid(f"frame of {volume.series_uid}")
    plane.PositionReferenceIndicator = first.get("PositionReferenceIndicator", "")
    for empty in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(plane, empty, "")
    plane.StudyDate = plane.StudyTime = None
    return plane


def _decimals(values: Sequence[float] | NDArray[np.float64]) -> list[DSfloat]:
    """Return numbers as DICOM writes them, in at most 16 characters."""
    return [DSfloat(float(value), auto_format=True) for value in values]


def _write_thicknesses(dataset: Dataset, thicknesses_mm: Mapping[str, float]) -> None:
    """Write each frame's own Slice Thickness if the slices of the frames differ in it.

    `thicknesses_mm` is by the SOP Instance UID of the source slice. highdicom writes one Pixel Measures for all frames;
    a macro is either shared or in each frame (PS3.3 C.7.6.16.2.1).
    """
    frames = dataset.PerFrameFunctionalGroupsSequence
    found = [
        thicknesses_mm[frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        for frame in frames
    ]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    (measures,) = shared.PixelMeasuresSequence
    measures.SliceThickness = DSfloat(found[0], auto_format=True)
    if max(found) - min(found) < EVEN_WITHIN_MM:
        return
    del shared.PixelMeasuresSequence
    for frame, mm in zip(frames, found, strict=True):
        own = deepcopy(measures)
        own.SliceThickness = DSfloat(mm, auto_format=True)
        frame.PixelMeasuresSequence = [own]


def _write_source_series(dataset: Dataset, headers: Sequence[Dataset]) -> None:
    """Name the source slices under the series that each belongs to."""
    series = []
    for uid, members in groupby(sorted(headers, key=_series_uid), key=_series_uid):
        one = Dataset()
        one.SeriesInstanceUID = uid
        one.ReferencedInstanceSequence = []
        for header in members:
            reference = Dataset()
            reference.ReferencedSOPClassUID = header.SOPClassUID
            reference.ReferencedSOPInstanceUID = header.SOPInstanceUID
            one.ReferencedInstanceSequence.append(reference)
        series.append(one)
    dataset.ReferencedSeriesSequence = series


def _series_uid(header: Dataset) -> str:
    return str(header.SeriesInstanceUID)


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
