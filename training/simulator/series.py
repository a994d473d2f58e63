# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The stacks of planes that a study is made of, in patient space: axial, reformatted, and the scout's projection.

A `Stack` knows where each of its voxels lies in the patient (mm, LPS: x to the left, y to posterior, z to the head)
and nothing of DICOM files. Turning a stack (`turned`) stores the same voxels differently; nothing moves in the patient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

AIR_HU: Final = -1000


class SeriesKind(StrEnum):
    """What a series of a head-CT study is."""

    AXIAL = "axial"
    """Axial, soft-tissue kernel, thick slices: the one to read."""
    THIN = "thin"
    """Axial, soft-tissue kernel, about 1 mm."""
    BONE = "bone"
    """Axial, sharp kernel."""
    CORONAL = "coronal"
    """Coronal reformat."""
    SAGITTAL = "sagittal"
    """Sagittal reformat."""
    SCOUT = "scout"
    """The planning radiograph, from the side."""
    DOSE = "dose"
    """The dose page, a screen capture."""


class PatientPosition(StrEnum):
    """How the patient lies: head or feet first; supine, prone, or on a side (decubitus left, right; PS3.3 C.7.3.1.1.2).

    A scanner that stores what it sees, from the gantry's front with the ceiling up, stores each of these eight in
    another of the eight in-plane orientations.
    """

    HFS = "HFS"
    HFP = "HFP"
    HFDL = "HFDL"
    HFDR = "HFDR"
    FFS = "FFS"
    FFP = "FFP"
    FFDL = "FFDL"
    FFDR = "FFDR"


# From nose-up with the patient's right on the image's left: transpose first, then flip rows, then flip columns.
_TURNS: Final[dict[PatientPosition, tuple[bool, bool, bool]]] = {
    PatientPosition.HFS: (False, False, False),
    PatientPosition.HFP: (False, True, True),
    PatientPosition.FFS: (False, False, True),
    PatientPosition.FFP: (False, True, False),
    PatientPosition.HFDR: (True, True, False),
    PatientPosition.HFDL: (True, False, True),
    PatientPosition.FFDR: (True, True, True),
    PatientPosition.FFDL: (True, False, False),
}


@dataclass(frozen=True)
class Stack:
    """Parallel planes in patient space, foot to head (or in rising y or x for reformats).

    Attributes
    ----------
    hu: int16 [Z, rows, columns], HU.
    labels: uint8 [Z, rows, columns], label values of the contract, or None where no truth is kept.
    row: float64 [3], unit vector in which the column index rises (DICOM's row cosines).
    column: float64 [3], unit vector in which the row index rises.
    origins: float64 [Z, 3], centre of the first voxel of each plane, mm.
    pixel_spacing_mm: distance between rows and between columns, mm.
    thickness_mm: float64 [Z], nominal thickness of each slice, mm.
    outside: bool [rows, columns], pixels beyond the reconstructed field of view, or None.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8] | None
    row: NDArray[np.float64]
    column: NDArray[np.float64]
    origins: NDArray[np.float64]
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: NDArray[np.float64]
    outside: NDArray[np.bool_] | None = None

    @property
    def positions_mm(self) -> NDArray[np.float64]:
        """The rising position of each plane along the normal that points the way the stack runs, float64 [Z], mm."""
        normal = np.cross(self.row, self.column)
        along = self.origins @ normal
        return np.asarray(along if along[-1] >= along[0] else -along)

    @property
    def spans_mm(self) -> NDArray[np.float64]:
        """How much of the normal each slice stands for, float64 [Z], mm: half way to each neighbour.

        The end slices stand for as much outside as inside.
        """
        gaps = np.diff(self.positions_mm)
        return np.asarray((np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2)

    def patient_mm(self, indices: NDArray[Any]) -> NDArray[np.float64]:
        """Return the patient coordinates [N, 3], mm, of the voxels `indices` [N, 3] (slice, row, column)."""
        z, rows, columns = np.asarray(indices).T
        return np.asarray(
            self.origins[z]
            + np.outer(rows * self.pixel_spacing_mm[0], self.column)
            + np.outer(columns * self.pixel_spacing_mm[1], self.row)
        )


def turned(stack: Stack, position: PatientPosition) -> Stack:
    """Return an axial stack (nose-up, the patient's right on the image's left) as stored for `position`."""
    transpose, flip_rows, flip_columns = _TURNS[position]
    planes: list[NDArray[Any] | None] = [stack.hu, stack.labels, stack.outside]
    row, column, (dy, dx) = stack.row, stack.column, stack.pixel_spacing_mm
    origins = stack.origins
    if transpose:
        planes = [None if p is None else p.swapaxes(-1, -2) for p in planes]
        row, column, dy, dx = column, row, dx, dy
    height, width = (stack.hu.shape[2], stack.hu.shape[1]) if transpose else stack.hu.shape[1:]
    if flip_rows:
        planes = [None if p is None else p[..., ::-1, :] for p in planes]
        origins, column = origins + (height - 1) * dy * column, -column
    if flip_columns:
        planes = [None if p is None else p[..., ::-1] for p in planes]
        origins, row = origins + (width - 1) * dx * row, -row
    hu, labels, outside = planes
    assert hu is not None  # it went in as an array
    return replace(
        stack, hu=hu, labels=labels, outside=outside, row=row, column=column, origins=origins, pixel_spacing_mm=(dy, dx)
    )


def reformatted(source: Stack, kind: SeriesKind, *, thickness_mm: float = 3.0, pixel_mm: float = 0.9) -> Stack:
    """Return a coronal or sagittal reformat of an axial stack, its slices as thick as they are far apart.

    Parameters
    ----------
    source: axial stack, best thin; its slices may be tilted or unevenly spaced.
    kind: `SeriesKind.CORONAL` (planes run from anterior to posterior) or `SAGITTAL` (from right to left).
    thickness_mm: slice thickness and distance, mm; the slice is the mean of three planes within it.
    pixel_mm: pixel size of the reformat, mm.
    """
    low, high = _extent(source)
    across = 1 if kind is SeriesKind.CORONAL else 0
    along = 1 - across
    row, column = np.eye(3)[along], np.array([0.0, 0.0, -1.0])
    count = max(2, int((high[across] - low[across]) / thickness_mm))
    shape = (int((high[2] - low[2]) / pixel_mm) + 1, int((high[along] - low[along]) / pixel_mm) + 1)
    origins = np.zeros((count, 3))
    origins[:, across] = low[across] + thickness_mm * (np.arange(count) + 0.5)
    origins[:, along] = low[along]
    origins[:, 2] = high[2]
    offsets = np.eye(3)[across] * thickness_mm / 3
    hu = np.mean(
        [_sampled(source, row, column, origins + k * offsets, (pixel_mm, pixel_mm), shape) for k in (-1, 0, 1)], axis=0
    )
    return Stack(
        np.rint(hu).astype(np.int16), None, row, column, origins, (pixel_mm, pixel_mm), np.full(count, thickness_mm)
    )


def projected(source: Stack, *, pixel_mm: float = 1.0) -> Stack:
    """Return the scout of an axial stack: one plane of line integrals seen from the patient's left.

    The values are what a scout shows, attenuation on an arbitrary scale, not HU of anything.
    """
    low, high = _extent(source)
    row, column = np.array([0.0, 1.0, 0.0]), np.array([0.0, 0.0, -1.0])
    shape = (int((high[2] - low[2]) / pixel_mm) + 1, int((high[1] - low[1]) / pixel_mm) + 1)
    step = 4.0
    depths = np.arange(low[0], high[0], step)
    origins = np.stack([depths, np.full_like(depths, low[1]), np.full_like(depths, high[2])], axis=1)
    planes = _sampled(source, row, column, origins, (pixel_mm, pixel_mm), shape)
    # 0.02 / mm is water at the tube's mean energy: 180 mm of head attenuate by about 3.6.
    attenuation = np.clip(planes.astype(np.float32) - AIR_HU, 0, None).sum(axis=0) * step * 0.02 / 1000
    return Stack(
        np.rint(attenuation * 250 - 400).astype(np.int16)[None],
        None,
        row,
        column,
        np.array([[(low[0] + high[0]) / 2, low[1], high[2]]]),
        (pixel_mm, pixel_mm),
        np.array([pixel_mm]),
    )


def _extent(stack: Stack) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the smallest and largest patient coordinates [3], mm, of the voxel centres of `stack`."""
    depth, height, width = stack.hu.shape
    corners = np.array([(z, y, x) for z in (0, depth - 1) for y in (0, height - 1) for x in (0, width - 1)])
    points = stack.patient_mm(corners)
    return points.min(axis=0), points.max(axis=0)


def _sampled(
    source: Stack,
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    origins: NDArray[np.float64],
    spacing_mm: tuple[float, float],
    shape: tuple[int, int],
) -> NDArray[np.int16]:
    """Return int16 [len(origins), *shape], HU, of `source` on other planes (linear; air outside)."""
    index = np.arange(len(source.origins))
    normal = np.cross(source.row, source.column)
    normal = normal * np.sign((source.origins[-1] - source.origins[0]) @ normal)
    # Tilted slices keep their planes parallel while the table moves along z, so that a slice's origin also shifts
    # within the plane.
    shift_row, shift_column = source.origins @ source.column, source.origins @ source.row
    y, x = np.arange(shape[0]) * spacing_mm[0], np.arange(shape[1]) * spacing_mm[1]
    result = np.empty((len(origins), *shape), np.int16)
    for plane, origin in zip(result, origins, strict=True):
        points = origin + y[:, None, None] * column + x[None, :, None] * row
        z = np.interp(points @ normal, source.positions_mm, index, left=-2, right=index[-1] + 2)
        rows = (points @ source.column - np.interp(z, index, shift_row)) / source.pixel_spacing_mm[0]
        columns = (points @ source.row - np.interp(z, index, shift_column)) / source.pixel_spacing_mm[1]
        map_coordinates(source.hu, [z, rows, columns], output=plane, order=1, cval=AIR_HU)
    return result
