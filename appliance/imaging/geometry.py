# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where images lie in the patient: one image's plane, and the geometry of a stack of parallel ones.

Only Image Position and Image Orientation (Patient) and Pixel Spacing count. They are in the patient's own coordinates
(x to the left, y to the back, z to the head), so prone, supine, head first and feet first need no case of their own;
Instance Number, Slice Location, Patient Position and Gantry/Detector Tilt are not used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.errors import Refusal, RefusalCode, RefusedError
from appliance.imaging.header import integer, numbers
from appliance.imaging.volume import Turn

AXIAL_WITHIN_DEG = 35.5
"""Planes up to this far from the patient's axial plane are axial: gantries tilt by up to 30, heads a little more."""

# Image Orientation is written with a few decimals; beyond this it is not two perpendicular unit vectors.
_UNIT_TOLERANCE = 0.02
_MATRIX_LIMITS = (16, 4096)
_SPACING_LIMITS_MM = (0.02, 20.0)
_FARTHEST_MM = 1e5

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Plane:
    """Where one image lies: its matrix, and in patient coordinates [x, y, z] the first pixel's centre and directions.

    `along_row` points in the direction of rising columns, `along_column` of rising rows (unit vectors); `spacing_mm` is
    the distance between rows and between columns.
    """

    rows: int
    columns: int
    origin_mm: Vector
    along_row: Vector
    along_column: Vector
    spacing_mm: tuple[float, float]

    @cached_property
    def normal(self) -> Vector:
        """The unit normal that points to the head (for planes along the body axis to the left, else to the back)."""
        normal = np.cross(self.along_row, self.along_column)
        normal /= np.linalg.norm(normal)
        # The z component decides whenever the plane can be axial at all, else the largest one.
        decisive = 2 if abs(normal[2]) >= 0.5 else int(np.argmax(np.abs(normal)))
        return normal if normal[decisive] > 0 else -normal

    @cached_property
    def position_mm(self) -> float:
        """The position along the normal, mm."""
        return float(self.origin_mm @ self.normal)


def plane(header: Dataset) -> Plane:
    """Return where the image with this header lies.

    Raises `RefusedError`: NO_POSITION when position or orientation is missing or unusable, BAD_GEOMETRY when matrix or
    pixel spacing is.
    """
    series_uid = str(header.SeriesInstanceUID)

    def refusal(code: RefusalCode, what: str) -> RefusedError:
        return RefusedError(Refusal(code, f"image {header.SOPInstanceUID}: {what}", series_uid))

    origin = numbers(header, "ImagePositionPatient")
    if len(origin) != 3 or max(map(abs, origin)) > _FARTHEST_MM:
        raise refusal(RefusalCode.NO_POSITION, "Image Position (Patient) is missing or not three sensible numbers")
    directions = numbers(header, "ImageOrientationPatient")
    if len(directions) != 6:
        raise refusal(RefusalCode.NO_POSITION, "Image Orientation (Patient) is missing or not six numbers")
    along_row, along_column = np.array(directions[:3]), np.array(directions[3:])
    lengths = float(np.linalg.norm(along_row)), float(np.linalg.norm(along_column))
    if any(abs(length - 1) > _UNIT_TOLERANCE for length in lengths) or abs(along_row @ along_column) > _UNIT_TOLERANCE:
        raise refusal(RefusalCode.NO_POSITION, "Image Orientation (Patient) is not two unit vectors at a right angle")
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    low, high = _MATRIX_LIMITS
    if rows is None or columns is None or not (low <= rows <= high and low <= columns <= high):
        raise refusal(
            RefusalCode.BAD_GEOMETRY, f"Rows and Columns are not both between {low} and {high}: {rows} x {columns}"
        )
    spacing = numbers(header, "PixelSpacing")
    least, most = _SPACING_LIMITS_MM
    if len(spacing) != 2 or not all(least <= mm <= most for mm in spacing):
        raise refusal(
            RefusalCode.BAD_GEOMETRY, f"Pixel Spacing is missing or not two numbers between {least} and {most} mm"
        )
    return Plane(
        rows,
        columns,
        np.array(origin),
        along_row / lengths[0],
        along_column / lengths[1],
        (spacing[0], spacing[1]),
    )


def parallel(one: Plane, other: Plane, within_deg: float = 0.5) -> bool:
    """Return whether the two planes have the same directions (not merely the same normal)."""
    least = math.cos(math.radians(within_deg))
    return bool(one.along_row @ other.along_row >= least and one.along_column @ other.along_column >= least)


@dataclass(frozen=True, eq=False)
class Geometry:
    """The geometry of a stack of parallel planes of one matrix.

    `plane` is the lowest slice; `positions_mm` float64 [Z], rising, are along its normal.
    """

    plane: Plane
    positions_mm: NDArray[np.float64]

    @property
    def normal(self) -> Vector:
        """The unit normal, towards the head."""
        return self.plane.normal

    @property
    def tilt_deg(self) -> float:
        """The angle between the planes and the patient's axial plane, degrees, 0 to 90."""
        return math.degrees(math.acos(min(1.0, abs(float(self.normal[2])))))

    @property
    def orientation(self) -> str:
        """The plane's name: axial, coronal, sagittal, or oblique when it is near none of them."""
        if self.tilt_deg <= AXIAL_WITHIN_DEG:
            return "axial"
        x, y, _ = np.abs(self.normal)
        least = math.cos(math.radians(AXIAL_WITHIN_DEG))
        return "coronal" if y >= least else "sagittal" if x >= least else "oblique"

    @property
    def intervals_mm(self) -> NDArray[np.float64]:
        """The distance between neighbouring slices, float64 [Z - 1], mm."""
        return np.diff(self.positions_mm)

    @property
    def spacing_mm(self) -> float:
        """The usual distance between neighbouring slices, mm; 0 for a single slice."""
        return float(np.median(self.intervals_mm)) if len(self.positions_mm) > 1 else 0.0

    @property
    def extent_mm(self) -> float:
        """How much the slices cover along the normal, mm: from half a spacing below the lowest to half one above."""
        return float(self.positions_mm[-1] - self.positions_mm[0]) + self.spacing_mm

    @property
    def turn(self) -> Turn:
        """How a stored plane becomes a contract plane: rows to the back, columns to the patient's left.

        Of the two directions, the one nearer to left-right becomes X.
        """
        along_row, along_column = self.plane.along_row, self.plane.along_column
        transpose = bool(abs(along_row[0]) < abs(along_row[1]))
        to_left, to_back = (along_column, along_row) if transpose else (along_row, along_column)
        return Turn(transpose=transpose, flip_y=bool(to_back[1] < 0), flip_x=bool(to_left[0] < 0))

    @property
    def contract_spacing_mm(self) -> tuple[float, float]:
        """Pixel spacing of the contract plane: between rows (Y), between columns (X), mm."""
        rows, columns = self.plane.spacing_mm
        return (columns, rows) if self.turn.transpose else (rows, columns)

    @property
    def contract_matrix(self) -> tuple[int, int]:
        """The matrix of the contract plane: Y, X."""
        rows, columns = self.plane.rows, self.plane.columns
        return (columns, rows) if self.turn.transpose else (rows, columns)

    @property
    def field_of_view_mm(self) -> tuple[float, float]:
        """The size of the contract plane: Y, X, mm."""
        (height, width), (row_mm, column_mm) = self.contract_matrix, self.contract_spacing_mm
        return height * row_mm, width * column_mm
