# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The volume that the appliance reads: one stack of CT slices in HU, in the contract's orientation, and the way back.

Nothing here reads files. `Turn` is the invertible in-plane map between a source plane as stored and the contract's
plane (rows to posterior, columns to the patient's left); the stacking order is by position along the normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.imaging.header import number, numbers

_DIRECTION_DECIMALS: Final = 10
"""How many digits of a direction are significant; finer ones (-1.2e-16 for 0) are a scanner's arithmetic."""
_THICKNESS_LIMITS_MM: Final = (0.05, 50.0)


@dataclass(frozen=True)
class Turn:
    """How a stored plane [rows, columns] becomes a contract plane [Y, X]: transpose first, then flip."""

    transpose: bool = False
    flip_y: bool = False
    flip_x: bool = False

    def to_contract(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the stored plane (or stack [..., rows, columns]) turned to the contract's [..., Y, X], as a view."""
        turned = plane.swapaxes(-1, -2) if self.transpose else plane
        if self.flip_y:
            turned = turned[..., ::-1, :]
        return turned[..., ::-1] if self.flip_x else turned

    def to_source(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Return the contract plane (or stack [..., Y, X]) turned back to the stored [..., rows, columns], a view."""
        back = plane[..., ::-1] if self.flip_x else plane
        if self.flip_y:
            back = back[..., ::-1, :]
        return back.swapaxes(-1, -2) if self.transpose else back


@dataclass(frozen=True)
class Volume:
    """One stack of CT slices, foot to head.

    Attributes
    ----------
    hu: int16 [Z, Y, X], HU on the source's own matrix, turned to the contract's orientation.
    pixel_spacing_mm: distance between rows (Y) and between columns (X) of the contract plane, mm.
    positions_mm: float64 [Z], rising position of each slice along the stack's normal, mm.
    turn: the way between stored planes and contract planes.
    headers: the source instances' datasets without pixel data, in the order of `hu`.
    """

    hu: NDArray[np.int16]
    pixel_spacing_mm: tuple[float, float]
    positions_mm: NDArray[np.float64]
    turn: Turn
    headers: tuple[Dataset, ...]

    @property
    def slices(self) -> int:
        """How many slices the stack has."""
        return int(self.hu.shape[0])

    @property
    def series_uid(self) -> str:
        """The Series Instance UID of the source."""
        return str(self.headers[0].SeriesInstanceUID)

    @property
    def instance_uids(self) -> tuple[str, ...]:
        """The SOP Instance UIDs, foot to head."""
        return tuple(str(header.SOPInstanceUID) for header in self.headers)

    @cached_property
    def directions(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The directions along a row and along a column of the stored planes, [x, y, z] in patient coordinates.

        These are those of the lowest slice for the whole stack, as two unit vectors at a right angle: scanners write
        them with three decimals or with noise in the sixteenth, and not alike on each slice. Code that writes results
        or measures across slices takes them from here, so that a difference that stacking tolerated is tolerated
        everywhere.
        """
        values = np.array(numbers(self.headers[0], "ImageOrientationPatient"))
        along_row = _unit(values[:3])
        along_column = values[3:] - (values[3:] @ along_row) * along_row
        return along_row, _unit(along_column)

    @cached_property
    def origins_mm(self) -> NDArray[np.float64]:
        """Where the first stored pixel's centre of each slice lies, float64 [Z, 3], patient coordinates, mm."""
        return np.array([numbers(header, "ImagePositionPatient") for header in self.headers], np.float64)

    @property
    def stored_matrix(self) -> tuple[int, int]:
        """Rows and columns of the planes as stored."""
        _, height, width = self.hu.shape
        return (width, height) if self.turn.transpose else (height, width)

    @property
    def stored_spacing_mm(self) -> tuple[float, float]:
        """Distance between rows and between columns of the planes as stored, mm."""
        y, x = self.pixel_spacing_mm
        return (x, y) if self.turn.transpose else (y, x)

    @property
    def slice_thicknesses_mm(self) -> tuple[float, ...]:
        """How thick each slice is, mm, by its header; if that says nothing usable, by its span.

        This only describes a slice: volumes are computed from `slice_spans_mm`.
        """
        least, most = _THICKNESS_LIMITS_MM
        said = [number(header, "SliceThickness") for header in self.headers]
        return tuple(
            mm if mm is not None and least <= mm <= most else round(float(span), 4)
            for mm, span in zip(said, self.slice_spans_mm, strict=True)
        )

    @property
    def slice_spans_mm(self) -> NDArray[np.float64]:
        """The length along the normal that each slice represents, float64 [Z], mm: half way to each neighbour.

        An end slice represents as much outside as inside, so that in an even stack every slice has the spacing
        (the distance between neighbouring positions, never SliceThickness).
        """
        gaps = np.diff(self.positions_mm)
        return np.asarray((np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the unit vector in the direction of `vector`, without noise and without a negative zero."""
    return np.asarray(np.round(vector / np.linalg.norm(vector), _DIRECTION_DECIMALS) + 0.0)
