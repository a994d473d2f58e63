# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a scanner writes beside the pixels, by the habits of a vendor (`vendors.toml`) and of an examination.

Everything an `Examination` holds is drawn from the seed alone, never from the diagnosis, so that no header tells
whether there is blood. Every object says in Patient Comments that it is simulated.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from simulator.build import Build
from simulator.dicom import Uids
from simulator.fields import stream
from simulator.series import SCOUTS, SHARP_KINDS, PatientPosition, Planes, SeriesKind
from simulator.vendors import Vendor


class Descriptions(StrEnum):
    """How truthful a study's series descriptions are."""

    VENDOR = "vendor"
    """As the vendor's protocol names them."""
    MISSING = "missing"
    """Left out."""
    MISLEADING = "misleading"
    """Left over from another protocol, the same on every series."""
    SWAPPED = "swapped"
    """Soft-tissue and bone series carry one another's."""
    LOCAL = "local"
    """The site's own word for a head and the thickness, in its language."""


_SWAPPED: Final = {
    SeriesKind.AXIAL: SeriesKind.BONE,
    SeriesKind.RESCAN: SeriesKind.BONE,
    SeriesKind.BONE: SeriesKind.AXIAL,
    SeriesKind.THIN: SeriesKind.THIN_BONE,
    SeriesKind.THIN_BONE: SeriesKind.THIN,
}
_STUDY_DESCRIPTIONS: Final = ("CT HEAD WO CONTRAST", "Head^Routine (Adult)", "CT brain", "HEAD", "CT Head without", "")


@dataclass(frozen=True)
class Scan:
    """One acquisition of a study: its Acquisition Number, when it came, seconds after the study began, and how."""

    number: int
    after_s: int
    enhanced: bool = False


_NATIVE: Final = Scan(2, 95)
_ANGIOGRAPHY: Final = Scan(4, 420, enhanced=True)
_SCANS: Final = {
    SeriesKind.SCOUT: Scan(1, 40),
    SeriesKind.FRONTAL_SCOUT: Scan(1, 52),
    SeriesKind.RESCAN: Scan(3, 240),
    SeriesKind.CTA: _ANGIOGRAPHY,
    SeriesKind.MIP: _ANGIOGRAPHY,
    SeriesKind.CONTRAST: Scan(5, 640, enhanced=True),
    SeriesKind.DOSE: Scan(6, 800),
}


@dataclass(frozen=True)
class Examination:
    """What all objects of a study share beyond the vendor: a simulated patient, a date, a technique.

    Attributes
    ----------
    seed: the study's seed; the patient's ID and name carry it.
    sex, age_years: of the patient; the age is that of the head, whose sulci and sutures show it.
    start: when the study began, local time of the scanner.
    description: Study Description, sometimes empty.
    descriptions: how truthful the series descriptions are.
    leftover: which of the vendor's leftovers misleading series carry, 0 to 1.
    kvp, tube_current_ma, exposure_s: the technique.
    """

    seed: int
    sex: str
    age_years: int
    start: datetime
    description: str
    descriptions: Descriptions
    leftover: float
    kvp: int
    tube_current_ma: int
    exposure_s: float

    @classmethod
    def draw(cls, seed: int) -> Examination:
        """Draw the examination of `seed`."""
        rng = np.random.default_rng([seed, 0x45])
        sex = str(rng.choice(["F", "M"]))
        rng.integers(18, 96)  # was the age; what is drawn after it stays each seed's own
        return cls(
            seed=seed,
            sex=sex,
            age_years=int(Build.draw(stream(seed, "build")).age_years),
            start=datetime(2019, 1, 1) + timedelta(seconds=int(rng.integers(0, 7 * 365 * 86400))),
            description=str(rng.choice(_STUDY_DESCRIPTIONS)),
            descriptions=Descriptions(
                rng.choice(
                    [
                        Descriptions.VENDOR,
                        Descriptions.MISSING,
                        Descriptions.MISLEADING,
                        Descriptions.SWAPPED,
                        Descriptions.LOCAL,
                    ],
                    p=[0.7, 0.1, 0.08, 0.04, 0.08],
                )
            ),
            leftover=float(rng.random()),
            kvp=int(rng.choice([100, 120, 120, 120, 140])),
            tube_current_ma=int(rng.integers(15, 40)) * 10,
            exposure_s=float(rng.choice([0.5, 0.75, 1.0])),
        )


def ct_header(
    vendor: Vendor,
    examination: Examination,
    uids: Uids,
    kind: SeriesKind,
    stack: Planes,
    index: int,
    *,
    position: PatientPosition,
) -> Dataset:
    """Return the header, without pixels, of slice `index` of `stack` as `vendor` writes it.

    Parameters
    ----------
    uids: of the study.
    kind: of the series; a dose page has no CT header (`dose_header`).
    position: how the patient lay.
    """
    habit = vendor.series[kind]
    dataset = _general(vendor, examination, uids, kind)
    description = _description(vendor, kind, examination, float(stack.thickness_mm.max()))
    if description is not None:
        dataset.SeriesDescription = description
    dataset.SOPClassUID = CTImageStorage
    dataset.Modality = "CT"
    dataset.FrameOfReferenceUID = uids.of("frame")
    _place(dataset, vendor, uids, kind, stack, index)
    _time(dataset, vendor, examination, kind, index, sequential=stack.tilt_deg != 0)

    dataset.PatientPosition = position.value
    dataset.PositionReferenceIndicator = vendor.position_reference
    dataset.ImageType = list(habit.image_type)
    scan_options = vendor.axial_mode if stack.tilt_deg else vendor.helical_mode
    scan = _SCANS.get(kind, _NATIVE)
    rotations = vendor.numbers_rotations and stack.tilt_deg
    dataset.AcquisitionNumber = scan.number + (100 * scan.number + index if rotations else 0)
    if kind not in SCOUTS and scan_options is not None:
        dataset.ScanOptions = scan_options
    if scan.enhanced and vendor.contrast_agent is not None:
        dataset.ContrastBolusAgent = vendor.contrast_agent
    if vendor.tilt_sign is not None:
        dataset.GantryDetectorTilt = _ds(vendor.tilt_sign * stack.tilt_deg)
    dataset.KVP = examination.kvp
    dataset.XRayTubeCurrent = examination.tube_current_ma
    dataset.ExposureTime = round(1000 * examination.exposure_s)
    dataset.Exposure = round(examination.tube_current_ma * examination.exposure_s)
    dataset.ReconstructionDiameter = _ds(stack.pixel_spacing_mm[1] * stack.hu.shape[2])
    if habit.kernel is not None:
        dataset.ConvolutionKernel = list(habit.kernel) if isinstance(habit.kernel, tuple) else habit.kernel
    windows = vendor.bone_windows if kind in SHARP_KINDS else vendor.soft_windows
    if kind in SCOUTS:
        windows = ((100, 1200),)
    elif kind in (SeriesKind.CTA, SeriesKind.MIP):
        windows = ((200, 700),)
    dataset.WindowCenter = [center for center, _ in windows]
    dataset.WindowWidth = [width for _, width in windows]
    dataset.LossyImageCompression = "00"
    return dataset


def dose_header(vendor: Vendor, examination: Examination, uids: Uids, page: int) -> Dataset:
    """Return the header, without pixels, of a dose page (Secondary Capture), numbered from 0."""
    dataset = _general(vendor, examination, uids, SeriesKind.DOSE)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = uids.of("instance", SeriesKind.DOSE, page)
    dataset.Modality = vendor.dose_modality
    dataset.SeriesDescription = vendor.series[SeriesKind.DOSE].description
    dataset.ConversionType = "WSD"
    dataset.ImageType = list(vendor.series[SeriesKind.DOSE].image_type)
    dataset.InstanceNumber = page + 1
    dataset.PatientOrientation = ""
    dataset.BurnedInAnnotation = "NO"  # the page names no patient
    _time(dataset, vendor, examination, SeriesKind.DOSE, page, sequential=False)
    return dataset


def dose_page_lines(vendor: Vendor, examination: Examination, page: int) -> list[str]:
    """Return the text of a dose page, numbered from 0: the technique on the first, the dose on the last."""
    ctdi = 0.21 * examination.tube_current_ma * examination.exposure_s * (examination.kvp / 120) ** 2
    lines = ["SIMULATED DOSE PAGE" + (f" {page + 1}/{vendor.dose_pages}" if vendor.dose_pages > 1 else ""), ""]
    if page == 0:
        mas = round(examination.tube_current_ma * examination.exposure_s)
        lines.append(f"kV {examination.kvp}   mAs {mas}")
    if page == vendor.dose_pages - 1:
        lines += [f"CTDIvol (mGy, 16 cm) {ctdi:.2f}", f"DLP (mGy cm) {ctdi * 16:.1f}"]
    return lines


def instance_number(vendor: Vendor, stack: Planes, index: int) -> int:
    """Return the Instance Number that `vendor` gives to slice `index` of `stack`, from 1."""
    return len(stack.origins) - index if vendor.head_first_instances else index + 1


def _general(vendor: Vendor, examination: Examination, uids: Uids, kind: SeriesKind) -> Dataset:
    """Return what patient, study, series and equipment modules say, the same for every instance of a series."""
    dataset = Dataset()
    character_set = vendor.character_set
    dataset.SpecificCharacterSet = list(character_set) if isinstance(character_set, tuple) else character_set

    dataset.PatientName = vendor.patient_name.format(seed=examination.seed)
    dataset.PatientID = f"SIM-{examination.seed:06d}"
    dataset.IssuerOfPatientID = "SIMULATOR"
    dataset.PatientBirthDate = f"{examination.start.year - examination.age_years:04d}0101"
    dataset.PatientSex = examination.sex
    dataset.PatientAge = f"{examination.age_years:03d}Y"
    dataset.PatientComments = "Simulated data, no patient"

    dataset.StudyInstanceUID = uids.of("study")
    dataset.StudyDate = examination.start.strftime("%Y%m%d")
    dataset.StudyTime = examination.start.strftime(vendor.time_format)
    dataset.StudyID = str(examination.seed)
    dataset.AccessionNumber = f"SIM{examination.seed:09d}"
    dataset.ReferringPhysicianName = ""
    if examination.description:
        dataset.StudyDescription = examination.description

    joined = vendor.joins_scouts and kind is SeriesKind.FRONTAL_SCOUT
    dataset.SeriesInstanceUID = uids.of("series", SeriesKind.SCOUT if joined else kind)
    dataset.SeriesNumber = vendor.series[kind].number
    if vendor.body_part is not None:
        dataset.BodyPartExamined = vendor.body_part
    else:
        dataset.Laterality = ""  # required, though empty, of a body part that may be one of a pair
    dataset.Manufacturer = vendor.manufacturer
    dataset.ManufacturerModelName = vendor.model
    dataset.SoftwareVersions = vendor.software
    dataset.DeviceSerialNumber = f"SIM{vendor.series[SeriesKind.DOSE].number:05d}"
    dataset.InstitutionName = "Simulated Hospital"
    dataset.StationName = f"SIMCT{len(vendor.model):02d}"
    return dataset


def _description(vendor: Vendor, kind: SeriesKind, examination: Examination, thickness_mm: float) -> str | None:
    """Return the Series Description, or None when it is left out."""
    match examination.descriptions:
        case Descriptions.VENDOR:
            words = vendor.series[kind].description
        case Descriptions.SWAPPED:
            words = vendor.series[_SWAPPED.get(kind, kind)].description
        case Descriptions.MISLEADING:
            words = vendor.leftovers[int(examination.leftover * len(vendor.leftovers))]
        case Descriptions.LOCAL:
            words = vendor.local
        case Descriptions.MISSING:
            return None
    return words.format(mm=thickness_mm)


def _place(dataset: Dataset, vendor: Vendor, uids: Uids, kind: SeriesKind, stack: Planes, index: int) -> None:
    """Say which slice this is, and where in the patient it lies."""
    dataset.SOPInstanceUID = uids.of("instance", kind, index)
    second = vendor.joins_scouts and kind is SeriesKind.FRONTAL_SCOUT
    dataset.InstanceNumber = instance_number(vendor, stack, index) + second
    dataset.PixelSpacing = [_ds(spacing) for spacing in stack.pixel_spacing_mm]
    dataset.ImageOrientationPatient = [_ds(cosine) for cosine in (*stack.row, *stack.column)]
    dataset.ImagePositionPatient = [_ds(coordinate) for coordinate in stack.origins[index]]
    dataset.SliceLocation = _ds(vendor.location_sign * stack.origins[index][2])
    dataset.SliceThickness = _ds(stack.thickness_mm[index])
    if vendor.spacing_between_slices and len(stack.origins) > 1:
        dataset.SpacingBetweenSlices = _ds(stack.spans_mm[index])


def _time(
    dataset: Dataset, vendor: Vendor, examination: Examination, kind: SeriesKind, index: int, *, sequential: bool
) -> None:
    """Write the dates and times: the scouts first, then the scans, their reconstructions some seconds later."""
    scan = _SCANS.get(kind, _NATIVE)
    acquired = examination.start + timedelta(seconds=scan.after_s)
    if sequential and kind not in SCOUTS:
        acquired += timedelta(seconds=2 * index)
    waited = 0 if kind in (*SCOUTS, SeriesKind.AXIAL) else 7 * list(SeriesKind).index(kind)
    started = examination.start + timedelta(seconds=scan.after_s + waited)
    written = started + timedelta(seconds=20, milliseconds=130 * index)
    dataset.SeriesDate = started.strftime("%Y%m%d")
    dataset.SeriesTime = started.strftime(vendor.time_format)
    if kind is not SeriesKind.DOSE:
        dataset.AcquisitionDate = acquired.strftime("%Y%m%d")
        dataset.AcquisitionTime = acquired.strftime(vendor.time_format)
    dataset.ContentDate = written.strftime("%Y%m%d")
    dataset.ContentTime = written.strftime(vendor.time_format)


def _ds(value: float) -> str:
    """Return a Decimal String (at most 16 characters) exact to a millionth."""
    return f"{round(value, 6) + 0.0:.6f}".rstrip("0").rstrip(".")
