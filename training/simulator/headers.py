# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a scanner writes beside the pixels: five invented vendors with the habits of real ones, and an examination.

The habits (number format, value sets, instance order, which optional attributes are there) are those that readers
trip over; the names are invented. Everything an `Examination` holds is drawn from the seed alone, never from the
finding, so that no header tells whether there is blood. Every object says in Patient Comments that it is simulated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from training.simulator.dicom import Storage, Uids
from training.simulator.series import PatientPosition, SeriesKind, Stack


class Descriptions(StrEnum):
    """How truthful a study's series descriptions are."""

    VENDOR = "vendor"
    """As the vendor's protocol names them."""
    MISSING = "missing"
    """Left out."""
    MISLEADING = "misleading"
    """Left over from another protocol."""


class VendorName(StrEnum):
    """The invented vendors, by the habits that set them apart."""

    NORTHWAY = "northway"
    """Signed pixels with an intercept and a padding value far below air; the dose page is CT, series 999."""
    RHEINWALD = "rheinwald"
    """12 unsigned bits, kernels of two values, instances from the vertex down; tilted scans number each rotation."""
    POLDER = "polder"
    """16 unsigned bits, Slice Location against z, no tilt attribute, one-letter kernels, Cyrillic names."""
    AKANE = "akane"
    """Signed pixels with intercept 0, a padding value within 12 bits, names in three writings, no body part."""
    STEPPE = "steppe"
    """The Rescale Slope changes from slice to slice, every series is called "Head", UTF-8 names."""


_LEFTOVERS: Final = ("SINUS 3.0", "C-SPINE 2.5", "Bone 1.0", "CTA HEAD", "Batch 3", "TEST", "Facial bones", "Recon 2")
_STUDY_DESCRIPTIONS: Final = ("CT HEAD WO CONTRAST", "Head^Routine (Adult)", "CT brain", "HEAD", "CT Head without", "")


@dataclass(frozen=True)
class SeriesHabit:
    """How a vendor labels one kind of series; `{mm}` in the description is the slice thickness."""

    number: int
    description: str
    image_type: tuple[str, ...]
    kernel: str | tuple[str, ...] | None = None


@dataclass(frozen=True)
class Vendor:
    """The header habits of one invented vendor.

    Attributes
    ----------
    manufacturer, model, software: who made the scanner, as headers name it.
    storage: number format of CT images.
    series: labels of each kind of series.
    head_first_instances: Instance Number rises from head to foot, against the position.
    spacing_between_slices: Spacing Between Slices is written.
    tilt_sign: sign of Gantry/Detector Tilt against the simulator's, or None when the attribute is left out.
    location_sign: sign of Slice Location against the patient's z.
    numbers_rotations: in axial mode every table position has an Acquisition Number of its own.
    axial_mode, helical_mode: Scan Options, or None when left out.
    soft_windows, bone_windows: Window Center and Width pairs.
    body_part: Body Part Examined, or None when left out.
    position_reference: Position Reference Indicator.
    character_set: Specific Character Set.
    patient_name: the simulated patient's name; `{seed}` is the seed.
    scout_by_default: the scanner sends its scout with every study.
    dose_modality: Modality of the dose page.
    time_format: how times are written.
    """

    manufacturer: str
    model: str
    software: str
    storage: Storage
    series: Mapping[SeriesKind, SeriesHabit]
    head_first_instances: bool
    spacing_between_slices: bool
    tilt_sign: int | None
    location_sign: int
    numbers_rotations: bool
    axial_mode: str | None
    helical_mode: str | None
    soft_windows: tuple[tuple[int, int], ...]
    bone_windows: tuple[tuple[int, int], ...]
    body_part: str | None
    position_reference: str
    character_set: str | tuple[str, ...]
    patient_name: str
    scout_by_default: bool
    dose_modality: str
    time_format: str


_ORIGINAL: Final = ("ORIGINAL", "PRIMARY")
_DERIVED: Final = ("DERIVED", "SECONDARY")

VENDORS: Final[Mapping[VendorName, Vendor]] = MappingProxyType(
    {
        VendorName.NORTHWAY: Vendor(
            manufacturer="NORTHWAY MEDICAL",
            model="Polaris 64",
            software="nw_ct_20.4",
            storage=Storage(signed=True, bits=16, intercept=-1024, padding=-2000),
            series={
                SeriesKind.SCOUT: SeriesHabit(1, "SCOUT", (*_ORIGINAL, "LOCALIZER"), "SCOUT"),
                SeriesKind.AXIAL: SeriesHabit(2, "{mm:.2g}MM STANDARD", (*_ORIGINAL, "AXIAL"), "STANDARD"),
                SeriesKind.BONE: SeriesHabit(3, "{mm:.2g}MM BONE", (*_ORIGINAL, "AXIAL"), "BONEPLUS"),
                SeriesKind.THIN: SeriesHabit(4, "THIN {mm:.2g}", (*_ORIGINAL, "AXIAL"), "STANDARD"),
                SeriesKind.CORONAL: SeriesHabit(
                    601, "COR {mm:.2g}mm", (*_DERIVED, "REFORMATTED", "AVERAGE"), "STANDARD"
                ),
                SeriesKind.SAGITTAL: SeriesHabit(
                    602, "SAG {mm:.2g}mm", (*_DERIVED, "REFORMATTED", "AVERAGE"), "STANDARD"
                ),
                SeriesKind.DOSE: SeriesHabit(999, "Dose Report", (*_DERIVED, "SCREEN SAVE")),
            },
            head_first_instances=False,
            spacing_between_slices=True,
            tilt_sign=1,
            location_sign=1,
            numbers_rotations=False,
            axial_mode="AXIAL MODE",
            helical_mode="HELICAL MODE",
            soft_windows=((40, 80),),
            bone_windows=((500, 2500),),
            body_part="HEAD",
            position_reference="OM",
            character_set="ISO_IR 100",
            patient_name="SIMULATED^SEED {seed}",
            scout_by_default=True,
            dose_modality="CT",
            time_format="%H%M%S.%f",
        ),
        VendorName.RHEINWALD: Vendor(
            manufacturer="Rheinwald Diagnostics",
            model="Sonde AS",
            software="rw CT 2019B",
            storage=Storage(signed=False, bits=12, intercept=-1024),
            series={
                SeriesKind.SCOUT: SeriesHabit(
                    1, "Topogram  0.6  T20f", (*_ORIGINAL, "LOCALIZER", "CT_RW TOP"), ("T20f", "1")
                ),
                SeriesKind.AXIAL: SeriesHabit(
                    2, "Head  {mm:.1f}  J40s  3", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("J40s", "3")
                ),
                SeriesKind.BONE: SeriesHabit(
                    3, "Head  {mm:.1f}  H60s", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("H60s", "2")
                ),
                SeriesKind.THIN: SeriesHabit(
                    4, "Head  {mm:.1f}  J40s  3", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("J40s", "3")
                ),
                SeriesKind.CORONAL: SeriesHabit(
                    5, "Cor  {mm:.1f}  J40s", (*_DERIVED, "AXIAL", "CT_RW SPI", "MPR"), ("J40s", "3")
                ),
                SeriesKind.SAGITTAL: SeriesHabit(
                    6, "Sag  {mm:.1f}  J40s", (*_DERIVED, "AXIAL", "CT_RW SPI", "MPR"), ("J40s", "3")
                ),
                SeriesKind.DOSE: SeriesHabit(501, "Patient Protocol", (*_DERIVED, "OTHER", "CT_RW PROT")),
            },
            head_first_instances=True,
            spacing_between_slices=False,
            tilt_sign=-1,
            location_sign=1,
            numbers_rotations=True,
            axial_mode="SEQ",
            helical_mode=None,
            soft_windows=((35, 80), (500, 3000)),
            bone_windows=((700, 3200),),
            body_part="HEAD",
            position_reference="",
            character_set="ISO_IR 100",
            patient_name="SIMULÉ^GRAINE {seed}",
            scout_by_default=True,
            dose_modality="CT",
            time_format="%H%M%S.%f",
        ),
        VendorName.POLDER: Vendor(
            manufacturer="Polder Healthcare",
            model="Lumen 128",
            software="4.1.10",
            storage=Storage(signed=False, bits=16, intercept=-1024),
            series={
                SeriesKind.SCOUT: SeriesHabit(101, "Surview", (*_ORIGINAL, "LOCALIZER"), "L"),
                SeriesKind.AXIAL: SeriesHabit(201, "HEAD {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "UB"),
                SeriesKind.BONE: SeriesHabit(202, "HEAD BONE {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "D"),
                SeriesKind.THIN: SeriesHabit(203, "HEAD {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "UB"),
                SeriesKind.CORONAL: SeriesHabit(204, "COR", (*_DERIVED, "REFORMATTED"), "UB"),
                SeriesKind.SAGITTAL: SeriesHabit(205, "SAG", (*_DERIVED, "REFORMATTED"), "UB"),
                SeriesKind.DOSE: SeriesHabit(299, "Dose Info", (*_DERIVED, "OTHER")),
            },
            head_first_instances=True,
            spacing_between_slices=True,
            tilt_sign=None,
            location_sign=-1,
            numbers_rotations=False,
            axial_mode="AXIAL",
            helical_mode="HELIX",
            soft_windows=((40, 90), (40, 90)),
            bone_windows=((600, 2000), (600, 2000)),
            body_part="BRAIN",
            position_reference="",
            character_set="ISO_IR 144",
            patient_name="СИМУЛЯЦИЯ^ЗЕРНО {seed}",
            scout_by_default=False,
            dose_modality="OT",
            time_format="%H%M%S",
        ),
        VendorName.AKANE: Vendor(
            manufacturer="AKANE",
            model="Hikari ONE",
            software="V8.21ER004",
            storage=Storage(signed=True, bits=16, intercept=0, padding=-2048),
            series={
                SeriesKind.SCOUT: SeriesHabit(1, "Scano", (*_ORIGINAL, "LOCALIZER"), "FL03"),
                SeriesKind.AXIAL: SeriesHabit(2, "Brain {mm:.1f} FK26", (*_ORIGINAL, "AXIAL"), "FK26"),
                SeriesKind.BONE: SeriesHabit(3, "Bone {mm:.1f} FK81", (*_ORIGINAL, "AXIAL"), "FK81"),
                SeriesKind.THIN: SeriesHabit(4, "Volume {mm:.1f} FK26", (*_ORIGINAL, "AXIAL"), "FK26"),
                SeriesKind.CORONAL: SeriesHabit(5, "MPR", (*_DERIVED, "MPR"), "FK26"),
                SeriesKind.SAGITTAL: SeriesHabit(6, "MPR", (*_DERIVED, "MPR"), "FK26"),
                SeriesKind.DOSE: SeriesHabit(9000, "Dose Summary", (*_DERIVED, "OTHER")),
            },
            head_first_instances=False,
            spacing_between_slices=False,
            tilt_sign=1,
            location_sign=1,
            numbers_rotations=False,
            axial_mode="CONV_CT",
            helical_mode="HELICAL_CT",
            soft_windows=((40, 100),),
            bone_windows=((450, 2200),),
            body_part=None,
            position_reference="",
            character_set=("", "ISO 2022 IR 87"),
            patient_name="SIMULATED^SEED {seed}=模擬^種 {seed}=もぎ^シード {seed}",
            scout_by_default=True,
            dose_modality="CT",
            time_format="%H%M%S.%f",
        ),
        VendorName.STEPPE: Vendor(
            manufacturer="Steppe Instruments",
            model="Vela 16",
            software="3.0",
            storage=Storage(signed=False, bits=16, intercept=-1024, slopes=(1.0, 0.5, 0.25)),
            series={
                SeriesKind.SCOUT: SeriesHabit(1, "Surview", (*_ORIGINAL, "LOCALIZER"), "NORMAL"),
                SeriesKind.AXIAL: SeriesHabit(2, "Head", (*_ORIGINAL, "AXIAL"), "BRAIN"),
                SeriesKind.BONE: SeriesHabit(3, "Head", (*_ORIGINAL, "AXIAL"), "SHARP"),
                SeriesKind.THIN: SeriesHabit(4, "Head", (*_ORIGINAL, "AXIAL"), "BRAIN"),
                SeriesKind.CORONAL: SeriesHabit(5, "Head", (*_DERIVED, "REFORMATTED"), "BRAIN"),
                SeriesKind.SAGITTAL: SeriesHabit(6, "Head", (*_DERIVED, "REFORMATTED"), "BRAIN"),
                SeriesKind.DOSE: SeriesHabit(7, "Dose", (*_DERIVED, "OTHER")),
            },
            head_first_instances=False,
            spacing_between_slices=True,
            tilt_sign=-1,
            location_sign=1,
            numbers_rotations=False,
            axial_mode=None,
            helical_mode=None,
            soft_windows=((35, 85),),
            bone_windows=((500, 2000),),
            body_part="HEAD",
            position_reference="",
            character_set="ISO_IR 192",
            patient_name="SIMULATED^SEED {seed}=模拟^种子 {seed}",
            scout_by_default=False,
            dose_modality="OT",
            time_format="%H%M%S",
        ),
    }
)


def vendor_of(seed: int) -> VendorName:
    """Return the vendor whose scanner the seed's patient lay in."""
    return VendorName(np.random.default_rng([seed, 0x56]).choice(list(VendorName)))


@dataclass(frozen=True)
class Examination:
    """What all objects of a study share beyond the vendor: a simulated patient, a date, a technique.

    Attributes
    ----------
    seed: the study's seed; the patient's ID and name carry it.
    sex, age_years: of the patient.
    start: when the study began, local time of the scanner.
    description: Study Description, sometimes empty.
    descriptions: how truthful the series descriptions are.
    leftover: the description that misleading series carry.
    kvp, tube_current_ma, exposure_s: the technique.
    """

    seed: int
    sex: str
    age_years: int
    start: datetime
    description: str
    descriptions: Descriptions
    leftover: str
    kvp: int
    tube_current_ma: int
    exposure_s: float

    @classmethod
    def drawn(cls, seed: int) -> Examination:
        """Draw the examination of `seed`."""
        rng = np.random.default_rng([seed, 0x45])
        return cls(
            seed=seed,
            sex=str(rng.choice(["F", "M"])),
            age_years=int(rng.integers(18, 96)),
            start=datetime(2019, 1, 1) + timedelta(seconds=int(rng.integers(0, 7 * 365 * 86400))),
            description=str(rng.choice(_STUDY_DESCRIPTIONS)),
            descriptions=Descriptions(
                rng.choice([Descriptions.VENDOR, Descriptions.MISSING, Descriptions.MISLEADING], p=[0.8, 0.1, 0.1])
            ),
            leftover=str(rng.choice(_LEFTOVERS)),
            kvp=int(rng.choice([100, 120, 120, 120, 140])),
            tube_current_ma=int(rng.integers(15, 40)) * 10,
            exposure_s=float(rng.choice([0.5, 0.75, 1.0])),
        )


def ct_header(
    vendor: Vendor,
    examination: Examination,
    uids: Uids,
    kind: SeriesKind,
    stack: Stack,
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
    description = _description(habit, examination, float(stack.thickness_mm.max()))
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
    if kind is SeriesKind.SCOUT:
        dataset.AcquisitionNumber = 1
    else:
        rotations = vendor.numbers_rotations and stack.tilt_deg
        dataset.AcquisitionNumber = 2 + (index if rotations else 0)
        if scan_options is not None:
            dataset.ScanOptions = scan_options
    if vendor.tilt_sign is not None:
        dataset.GantryDetectorTilt = _ds(vendor.tilt_sign * stack.tilt_deg)
    dataset.KVP = examination.kvp
    dataset.XRayTubeCurrent = examination.tube_current_ma
    dataset.ExposureTime = round(1000 * examination.exposure_s)
    dataset.Exposure = round(examination.tube_current_ma * examination.exposure_s)
    dataset.ReconstructionDiameter = _ds(stack.pixel_spacing_mm[1] * stack.hu.shape[2])
    if habit.kernel is not None:
        dataset.ConvolutionKernel = list(habit.kernel) if isinstance(habit.kernel, tuple) else habit.kernel
    windows = vendor.bone_windows if kind is SeriesKind.BONE else vendor.soft_windows
    if kind is SeriesKind.SCOUT:
        windows = ((100, 1200),)
    dataset.WindowCenter = [center for center, _ in windows]
    dataset.WindowWidth = [width for _, width in windows]
    dataset.LossyImageCompression = "00"
    return dataset


def dose_header(vendor: Vendor, examination: Examination, uids: Uids) -> Dataset:
    """Return the header, without pixels, of the dose page (Secondary Capture)."""
    dataset = _general(vendor, examination, uids, SeriesKind.DOSE)
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = uids.of("instance", SeriesKind.DOSE, 0)
    dataset.Modality = vendor.dose_modality
    dataset.SeriesDescription = vendor.series[SeriesKind.DOSE].description
    dataset.ConversionType = "WSD"
    dataset.ImageType = list(vendor.series[SeriesKind.DOSE].image_type)
    dataset.InstanceNumber = 1
    dataset.PatientOrientation = ""
    dataset.BurnedInAnnotation = "NO"  # the page names no patient
    _time(dataset, vendor, examination, SeriesKind.DOSE, 0, sequential=False)
    return dataset


def dose_page_lines(examination: Examination) -> list[str]:
    """Return the text of the dose page."""
    ctdi = 0.21 * examination.tube_current_ma * examination.exposure_s * (examination.kvp / 120) ** 2
    return [
        "SIMULATED DOSE PAGE",
        "",
        f"kV {examination.kvp}   mAs {round(examination.tube_current_ma * examination.exposure_s)}",
        f"CTDIvol (mGy, 16 cm) {ctdi:.2f}",
        f"DLP (mGy cm) {ctdi * 16:.1f}",
    ]


def instance_number(vendor: Vendor, stack: Stack, index: int) -> int:
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

    habit = vendor.series[kind]
    dataset.SeriesInstanceUID = uids.of("series", kind)
    dataset.SeriesNumber = habit.number
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


def _description(habit: SeriesHabit, examination: Examination, thickness_mm: float) -> str | None:
    """Return the Series Description, or None when it is left out."""
    return {
        Descriptions.VENDOR: habit.description.format(mm=thickness_mm),
        Descriptions.MISSING: None,
        Descriptions.MISLEADING: examination.leftover,
    }[examination.descriptions]


def _place(dataset: Dataset, vendor: Vendor, uids: Uids, kind: SeriesKind, stack: Stack, index: int) -> None:
    """Say which slice this is, and where in the patient it lies."""
    dataset.SOPInstanceUID = uids.of("instance", kind, index)
    dataset.InstanceNumber = instance_number(vendor, stack, index)
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
    """Write the dates and times: the scout first, then the scan, its reconstructions some seconds later."""
    delay = {SeriesKind.SCOUT: 40, SeriesKind.AXIAL: 95}.get(kind, 95 + 7 * list(SeriesKind).index(kind))
    acquired = examination.start + timedelta(seconds=40 if kind is SeriesKind.SCOUT else 95)
    if sequential and kind is not SeriesKind.SCOUT:
        acquired += timedelta(seconds=2 * index)
    written = examination.start + timedelta(seconds=delay + 20, milliseconds=130 * index)
    started = examination.start + timedelta(seconds=delay)
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
