# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One image as a slice: where it lies, and what its header says about how and when it was made.

The header is interpreted here once, so that grouping, separating and joining compare the same values: spellings of one
kernel are one kernel, and a missing value is None or empty and differs from nothing.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.imaging.contrast import contrast_given
from appliance.imaging.geometry import Plane, parallel
from appliance.imaging.header import acquisition_time, integer, number, text, texts
from appliance.imaging.instances import Instance
from appliance.imaging.kernels import Sharpness, kernel

SAME_POSITION_MM = 0.05
"""Images nearer than this are at one position; no scanner reconstructs at finer steps than 0.1 mm."""

SPACING_WITHIN = 0.0025
"""Pixel Spacings that differ by less than this share are equal, written with more or fewer digits: 0.488 and
0.48828125. Over half a field of view of 250 mm this is a third of a millimetre."""


@dataclass(frozen=True, eq=False)
class Slice:
    """An image that can be a slice of a stack; `position_mm` is along the normal that its group shares."""

    instance: Instance
    plane: Plane
    position_mm: float

    @property
    def header(self) -> Dataset:
        """The image's header."""
        return self.instance.header

    @property
    def series_uid(self) -> str:
        """The Series Instance UID."""
        return self.instance.series_uid

    @cached_property
    def thickness_mm(self) -> float | None:
        """Slice Thickness to a tenth of a millimetre, None when not said."""
        said = number(self.header, "SliceThickness")
        return round(said, 1) if said else None

    @cached_property
    def kernel(self) -> str:
        """The kernel's name without case, spaces and marks: of several values the first."""
        return re.sub(r"[\W_]+", "", text(self.header, "ConvolutionKernel").upper())

    @cached_property
    def sharp(self) -> bool | None:
        """Whether the kernel is sharp, None when its name does not say."""
        sharpness = kernel(texts(self.header, "ConvolutionKernel")).sharpness
        return None if sharpness is Sharpness.UNKNOWN else sharpness is Sharpness.SHARP

    @cached_property
    def contrast(self) -> bool:
        """Whether contrast agent was given."""
        return contrast_given(self.header)

    @cached_property
    def phase(self) -> int | None:
        """Temporal Position Identifier."""
        return integer(self.header, "TemporalPositionIdentifier")

    @cached_property
    def image_type(self) -> tuple[str, ...]:
        """Image Type in capitals."""
        return tuple(word.upper() for word in texts(self.header, "ImageType"))

    @cached_property
    def voltage_kv(self) -> float | None:
        """KVP."""
        return number(self.header, "KVP")

    @cached_property
    def acquisition(self) -> int | None:
        """Acquisition Number."""
        return integer(self.header, "AcquisitionNumber")

    @cached_property
    def frame(self) -> str:
        """Frame of Reference UID, "" when there is none."""
        return text(self.header, "FrameOfReferenceUID")

    @cached_property
    def body_part(self) -> str:
        """Body Part Examined in capitals."""
        return text(self.header, "BodyPartExamined").upper()

    @cached_property
    def acquired_at(self) -> float | None:
        """When it was acquired, as `header.acquisition_time`."""
        return acquisition_time(self.header)


def positions_of(slices: Iterable[Slice]) -> NDArray[np.float64]:
    """Return the positions of slices, float64 [Z], rising, mm."""
    return np.array(sorted(one.position_mm for one in slices))


def in_one_geometry(slices: Iterable[Slice]) -> list[list[Slice]]:
    """Return the slices grouped by what the slices of one volume must share: matrix, pixel spacing and directions.

    Positions of a group are along one normal, that of its first slice; the normals of the others differ by rounding.
    """
    by_matrix: dict[Hashable, list[list[Slice]]] = {}
    for one in slices:
        groups = by_matrix.setdefault((one.plane.rows, one.plane.columns), [])
        for group in groups:
            first = group[0].plane
            if _one_spacing(first, one.plane) and parallel(first, one.plane):
                group.append(Slice(one.instance, one.plane, float(one.plane.origin_mm @ first.normal)))
                break
        else:
            groups.append([one])
    return [group for groups in by_matrix.values() for group in groups]


def _one_spacing(one: Plane, other: Plane) -> bool:
    return all(
        abs(here - there) <= SPACING_WITHIN * there
        for here, there in zip(one.spacing_mm, other.spacing_mm, strict=True)
    )
