# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The volume that the appliance reads: one stack of CT slices in HU, in the contract's orientation, and its way back.

Nothing here reads files. `Turn` is the invertible in-plane map between a source plane as stored and the contract's
plane (rows to posterior, columns to the patient's left); the stacking order is by position along the normal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset


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

    @property
    def slice_spans_mm(self) -> NDArray[np.float64]:
        """How much of the normal each slice stands for, float64 [Z], mm: half way to each neighbour.

        The end slices stand for as much outside as inside, so that an even stack gives its spacing for every slice
        (design, "Volume": distance between neighbouring positions, never SliceThickness).
        """
        gaps = np.diff(self.positions_mm)
        return np.asarray((np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])) / 2)
