# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where the planes of a series lie in the patient, and how a seed's main series is planned.

Patient space is DICOM's: mm, x to the left, y to posterior, z to the head. Any stack of parallel planes is a
`ScanGeometry`: axial (tilted or not), thin, coronal, sagittal.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.simulator.fields import stream

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class ScanGeometry:
    """A stack of parallel planes.

    Attributes
    ----------
    rows, columns: size of the matrix.
    pixel_spacing_mm: distance between rows and between columns.
    positions_mm: position of each plane along the normal, rising; any spacing.
    thickness_mm: slice thickness of each plane.
    centre_mm: patient x, y, z of the matrix's centre on the plane whose position is 0.
    tilt_deg: gantry tilt of axial planes, positive with the front edge towards the head.
    row, column: unit vectors (x, y, z) in which the column index and the row index rise, before the tilt.
    """

    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float]
    positions_mm: tuple[float, ...]
    thickness_mm: tuple[float, ...]
    centre_mm: Vector = (0.0, 0.0, 0.0)
    tilt_deg: float = 0.0
    row: Vector = (1.0, 0.0, 0.0)
    column: Vector = (0.0, 1.0, 0.0)

    def __post_init__(self) -> None:
        if len(self.positions_mm) != len(self.thickness_mm):
            raise ValueError("a thickness is needed for each position")
        if any(b <= a for a, b in zip(self.positions_mm, self.positions_mm[1:], strict=False)):
            raise ValueError("positions rise along the normal")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return len(self.positions_mm), self.rows, self.columns

    @property
    def axes(self) -> NDArray[np.float64]:
        """The row, column and normal unit vectors [3, 3] (x, y, z), the tilt about the x axis applied."""
        t = np.deg2rad(self.tilt_deg)
        turn = np.array([[1, 0, 0], [0, np.cos(t), np.sin(t)], [0, -np.sin(t), np.cos(t)]])
        row, column = turn @ np.asarray(self.row), turn @ np.asarray(self.column)
        return np.stack([row, column, np.cross(row, column)])

    @property
    def centres_mm(self) -> NDArray[np.float64]:
        """The patient coordinates [Z, 3] of each plane's centre.

        A tilted gantry stays where it is and the table moves along z, so the planes are sheared, not stacked squarely.
        """
        normal = self.axes[2]
        step = np.array([0.0, 0.0, 1.0]) if self.tilt_deg else normal
        along = np.asarray(self.positions_mm)[:, None] / (step @ normal)
        return np.asarray(np.asarray(self.centre_mm) + along * step)

    @property
    def origins_mm(self) -> NDArray[np.float64]:
        """The patient coordinates [Z, 3] of the centre of each plane's first voxel (ImagePositionPatient)."""
        row, column, _ = self.axes
        dy, dx = self.pixel_spacing_mm
        corner = -0.5 * (self.columns - 1) * dx * row - 0.5 * (self.rows - 1) * dy * column
        return np.asarray(self.centres_mm + corner)

    @property
    def spans_mm(self) -> NDArray[np.float64]:
        """How much of the normal each plane stands for, [Z]: half way to each neighbour; one plane its thickness."""
        positions = np.asarray(self.positions_mm)
        if len(positions) == 1:
            return np.asarray(self.thickness_mm)
        gaps = np.diff(positions)
        return np.asarray(0.5 * (np.concatenate([gaps[:1], gaps]) + np.concatenate([gaps, gaps[-1:]])))

    @property
    def voxel_ml(self) -> NDArray[np.float64]:
        """The volume of a voxel of each plane, [Z], mL."""
        return np.asarray(self.spans_mm * self.pixel_spacing_mm[0] * self.pixel_spacing_mm[1] / 1000)

    @classmethod
    def drawn(cls, rng: np.random.Generator, *, rows: int = 512, columns: int = 512) -> ScanGeometry:
        """Return the plan of an axial soft-tissue series over the whole head."""
        spacing = float(rng.choice([5.0, 5.0, 5.0, 4.8, 4.5, 4.0]))
        overlap = float(rng.choice([1.0, 1.0, 1.0, 0.6, 0.75]))
        field_of_view = float(np.clip(rng.normal(235, 12), 205, 281))
        tilt = float(rng.uniform(2, 20)) if rng.random() < 0.4 else 0.0
        bottom, top = -62 + float(rng.normal(0, 4)), 100 + float(rng.normal(0, 4))
        slices = int(np.clip(round((top - bottom) / spacing), 24, 40))
        positions = bottom + spacing * (np.arange(slices) + 0.5)
        pixel = field_of_view / max(rows, columns)
        return cls(
            rows=rows,
            columns=columns,
            pixel_spacing_mm=(pixel, pixel),
            positions_mm=tuple(float(p) for p in positions),
            thickness_mm=(spacing * overlap,) * slices,
            centre_mm=(float(rng.normal(0, 4)), 15 + float(rng.normal(0, 5)), 0.0),
            tilt_deg=tilt,
        )


def planned_geometry(seed: int) -> ScanGeometry:
    """Return the geometry of a seed's main series."""
    return ScanGeometry.drawn(stream(seed, "geometry"))
