# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Five invented vendors with the habits of real ones: number formats, series labels, optional attributes.

The habits are those that readers trip over; the names are invented. `headers.py` writes headers by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import numpy as np

from simulator.dicom import Storage
from simulator.series import SeriesKind


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
    scouts: those that the scanner sends with every study.
    joins_scouts: both scouts are one series.
    dose_modality: Modality of the dose page.
    dose_pages: how many it takes.
    contrast_agent: Contrast/Bolus Agent of what was scanned after it, or None when the technician fills in nothing.
    leftovers: descriptions of other protocols that stay on series by mistake.
    local: the site's own description, in its language.
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
    scouts: tuple[SeriesKind, ...]
    joins_scouts: bool
    dose_modality: str
    dose_pages: int
    contrast_agent: str | None
    leftovers: tuple[str, ...]
    local: str
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
                SeriesKind.THIN_BONE: SeriesHabit(5, "THIN {mm:.2g} BONE", (*_ORIGINAL, "AXIAL"), "BONEPLUS"),
                SeriesKind.FRONTAL_SCOUT: SeriesHabit(1, "SCOUT", (*_ORIGINAL, "LOCALIZER"), "SCOUT"),
                SeriesKind.RESCAN: SeriesHabit(6, "{mm:.2g}MM STANDARD REPEAT", (*_ORIGINAL, "AXIAL"), "STANDARD"),
                SeriesKind.CTA: SeriesHabit(7, "CTA COW {mm:.2g}", (*_ORIGINAL, "AXIAL"), "STANDARD"),
                SeriesKind.MIP: SeriesHabit(701, "AX MIP {mm:.2g}", (*_DERIVED, "REFORMATTED", "MAX_IP"), "STANDARD"),
                SeriesKind.CONTRAST: SeriesHabit(8, "{mm:.2g}MM STANDARD +C", (*_ORIGINAL, "AXIAL"), "STANDARD"),
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
            scouts=(SeriesKind.SCOUT, SeriesKind.FRONTAL_SCOUT),
            joins_scouts=True,
            dose_modality="CT",
            dose_pages=1,
            contrast_agent="IV CONTRAST",
            leftovers=("SINUS 3.0", "C-SPINE 2.5", "FACIAL BONES", "CTA HEAD", "Recon 2: ORBITS"),
            local="Crâne {mm:.1f} mm",
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
                SeriesKind.THIN_BONE: SeriesHabit(
                    7, "Head  {mm:.1f}  H60s", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("H60s", "2")
                ),
                SeriesKind.FRONTAL_SCOUT: SeriesHabit(
                    8, "Topogram  0.6  T20f", (*_ORIGINAL, "LOCALIZER", "CT_RW TOP"), ("T20f", "1")
                ),
                SeriesKind.RESCAN: SeriesHabit(
                    9, "Head  {mm:.1f}  J40s  3", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("J40s", "3")
                ),
                SeriesKind.CTA: SeriesHabit(
                    10, "Carotis Angio  {mm:.1f}  I26f  3", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("I26f", "3")
                ),
                SeriesKind.MIP: SeriesHabit(
                    11, "MIP tra  {mm:.1f}", (*_DERIVED, "AXIAL", "CT_RW SPI", "MIP"), ("I26f", "3")
                ),
                SeriesKind.CONTRAST: SeriesHabit(
                    12, "Head KM  {mm:.1f}  J40s  3", (*_ORIGINAL, "AXIAL", "CT_RW SPI"), ("J40s", "3")
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
            scouts=(SeriesKind.SCOUT,),
            joins_scouts=False,
            dose_modality="CT",
            dose_pages=1,
            contrast_agent="Contrast agent 350",
            leftovers=("NNH  3.0  J40s", "HWS  2.0  J40s", "Felsenbein  0.6  H70h", "Thorax  5.0  I31f", "TEST"),
            local="Schädel {mm:.1f}",
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
                SeriesKind.THIN_BONE: SeriesHabit(206, "BONE {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "D"),
                SeriesKind.FRONTAL_SCOUT: SeriesHabit(102, "Surview", (*_ORIGINAL, "LOCALIZER"), "L"),
                SeriesKind.RESCAN: SeriesHabit(301, "HEAD {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "UB"),
                SeriesKind.CTA: SeriesHabit(401, "CTA {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "B"),
                SeriesKind.MIP: SeriesHabit(402, "MIP {mm:.2g}mm", (*_DERIVED, "MIP"), "B"),
                SeriesKind.CONTRAST: SeriesHabit(501, "HEAD + {mm:.2g}mm", (*_ORIGINAL, "AXIAL", "HELIX"), "UB"),
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
            scouts=(),
            joins_scouts=False,
            dose_modality="OT",
            dose_pages=2,
            contrast_agent="Yes",
            leftovers=("SINUSES 3mm", "C-SPINE 2mm", "IAC 0.67", "NECK 3mm", "Batch 3"),
            local="Голова {mm:.1f} мм",
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
                SeriesKind.THIN_BONE: SeriesHabit(7, "Volume {mm:.1f} FK81", (*_ORIGINAL, "AXIAL"), "FK81"),
                SeriesKind.FRONTAL_SCOUT: SeriesHabit(8, "Scano", (*_ORIGINAL, "LOCALIZER"), "FL03"),
                SeriesKind.RESCAN: SeriesHabit(9, "Brain {mm:.1f} FK26", (*_ORIGINAL, "AXIAL"), "FK26"),
                SeriesKind.CTA: SeriesHabit(10, "CTA {mm:.1f} FK43", (*_ORIGINAL, "AXIAL"), "FK43"),
                SeriesKind.MIP: SeriesHabit(11, "MIP", (*_DERIVED, "MIP"), "FK43"),
                SeriesKind.CONTRAST: SeriesHabit(12, "Brain CE {mm:.1f} FK26", (*_ORIGINAL, "AXIAL"), "FK26"),
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
            scouts=(SeriesKind.SCOUT, SeriesKind.FRONTAL_SCOUT),
            joins_scouts=False,
            dose_modality="CT",
            dose_pages=1,
            contrast_agent="CE",
            leftovers=("Orbit 3.0 FK26", "Neck 5.0 FK13", "Inner ear 0.5 FK81", "TEST", "Body 5.0"),
            local="頭部 {mm:.1f}mm",
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
                SeriesKind.THIN_BONE: SeriesHabit(8, "Head", (*_ORIGINAL, "AXIAL"), "SHARP"),
                SeriesKind.FRONTAL_SCOUT: SeriesHabit(1, "Surview", (*_ORIGINAL, "LOCALIZER"), "NORMAL"),
                SeriesKind.RESCAN: SeriesHabit(9, "Head", (*_ORIGINAL, "AXIAL"), "BRAIN"),
                SeriesKind.CTA: SeriesHabit(10, "Head", (*_ORIGINAL, "AXIAL"), "VESSEL"),
                SeriesKind.MIP: SeriesHabit(11, "Head", (*_DERIVED, "MIP"), "VESSEL"),
                SeriesKind.CONTRAST: SeriesHabit(12, "Head", (*_ORIGINAL, "AXIAL"), "BRAIN"),
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
            scouts=(),
            joins_scouts=True,
            dose_modality="OT",
            dose_pages=1,
            contrast_agent=None,
            leftovers=("Sinus", "Spine", "Chest", "Test", "Ear"),
            local="头部 {mm:.1f}",
            time_format="%H%M%S",
        ),
    }
)


def vendor_of(seed: int) -> VendorName:
    """Return the vendor whose scanner the seed's patient lay in."""
    return VendorName(np.random.default_rng([seed, 0x56]).choice(list(VendorName)))
