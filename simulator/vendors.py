# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Five invented vendors with the habits of real ones: number formats, series labels, optional attributes.

The habits are those that readers trip over; the names are invented. They stand in `vendors.toml`, which this module
reads; `headers.py` writes headers by them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

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


@dataclass(frozen=True, kw_only=True)
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
    tilt_sign: int | None = None
    location_sign: int
    numbers_rotations: bool
    axial_mode: str | None = None
    helical_mode: str | None = None
    soft_windows: tuple[tuple[int, int], ...]
    bone_windows: tuple[tuple[int, int], ...]
    body_part: str | None = None
    position_reference: str
    character_set: str | tuple[str, ...]
    patient_name: str
    scouts: tuple[SeriesKind, ...]
    joins_scouts: bool
    dose_modality: str
    dose_pages: int
    contrast_agent: str | None = None
    leftovers: tuple[str, ...]
    local: str
    time_format: str


def read_vendors(path: Path) -> Mapping[VendorName, Vendor]:
    """Return every vendor of a table such as `vendors.toml`; what is left out there is None here.

    Raises
    ------
    ValueError: a vendor or a kind of series is missing, or a key is unknown or misses; it says which vendor.
    """
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    if missing := set(VendorName) ^ table.keys():
        raise ValueError(f"{path.name}: one table for each vendor, not {', '.join(sorted(missing))}")
    return MappingProxyType({name: _vendor(path.name, name, table[name]) for name in VendorName})


def _vendor(file: str, name: VendorName, row: dict[str, Any]) -> Vendor:
    """Return the vendor that a row of the table says."""
    habits = {key: _freeze(value) for key, value in row.items() if key not in ("series", "storage", "scouts")}
    try:
        return Vendor(
            storage=Storage(**{key: _freeze(value) for key, value in row["storage"].items()}),
            series={
                kind: SeriesHabit(**{key: _freeze(value) for key, value in row["series"][kind].items()})
                for kind in SeriesKind
            },
            scouts=tuple(SeriesKind(kind) for kind in row["scouts"]),
            **habits,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: {name}: {error}") from error


def _freeze(value: Any) -> Any:
    """Return a value of the table with tuples for its lists."""
    return tuple(_freeze(item) for item in value) if isinstance(value, list) else value


VENDORS: Final = read_vendors(Path(__file__).with_name("vendors.toml"))
"""Every vendor by name."""


def vendor_of(seed: int) -> VendorName:
    """Return the vendor whose scanner the seed's patient lay in."""
    return VendorName(np.random.default_rng([seed, 0x56]).choice(list(VendorName)))
