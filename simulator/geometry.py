# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where the planes of a series lie in the patient, and how a seed's main series is planned.

Patient space is DICOM's: mm, x to the left, y to posterior, z to the head. Any stack of parallel planes is a
`ScanGeometry`: axial (tilted or not), thin, coronal, sagittal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from simulator.fields import stream
from simulator.population import TRAINING, Population, ScannerRange

Vector = tuple[float, float, float]

# Distances of slices, and how often. The paper's studies have 35 slices on average.
SPACINGS_MM = (5.0, 4.8, 4.5, 4.0, 3.0)
SPACING_SHARES = (0.5, 0.15, 0.1, 0.15, 0.1)
SPACING_SHARES_WIDE = (0.4, 0.15, 0.15, 0.15, 0.15)
FEWEST, MOST = 24, 56
# How many scans begin below the skull base, and by how much (mm): helical ranges are planned with a margin, some down
# to the jaw. Shares and lengths are this project's own. Thin slices reach less far: `MOST` is kept.
LOW_SHARE, LOW_SHARE_WIDE = 0.38, 0.5
LOW_MM = (8.0, 52.0)


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
    def draw(
        cls, rng: np.random.Generator, population: Population = TRAINING, *, rows: int = 512, columns: int = 512
    ) -> ScanGeometry:
        """Return the plan of an axial soft-tissue series over the head, helical or with a tilted gantry.

        The range of training is wider: pixels of 0.35 to 0.6 mm, more off the centre, more tilt, and more often a
        range that begins above the skull base or ends below the vertex. Some ranges begin in the face.
        """
        wide = population.scanners is ScannerRange.WIDE
        spacing = float(rng.choice(SPACINGS_MM, p=SPACING_SHARES_WIDE if wide else SPACING_SHARES))
        overlap = float(rng.choice([1.0, 1.0, 1.0, 1.25, 0.6, 0.75] if wide else [1.0] * 5 + [0.75]))
        field_of_view = _clip(rng.normal(238, 26), 180, 307) if wide else _clip(rng.normal(232, 11), 208, 260)
        most, tilted = (24.0, 0.45) if wide else (18.0, 0.35)
        tilt, chance = float(rng.uniform(-0.2 * most if wide else 4.0, most)), rng.random()
        bottom, top = -62 + float(rng.normal(0, 4)), 100 + float(rng.normal(0, 4))
        end, cut_mm, cut = rng.integers(2), float(rng.uniform(5, 30 if wide else 15)), rng.random()
        if cut < (0.2 if wide else 0.08):
            bottom, top = (bottom + cut_mm, top) if end else (bottom, top - cut_mm)
        slices = int(np.clip(round((top - bottom) / spacing), FEWEST, MOST))
        pixel = field_of_view / max(rows, columns)
        off = 8.0 if wide else 4.0
        centre = (float(rng.normal(0, off)), 15 + float(rng.normal(0, off)), 0.0)
        low, low_mm = rng.random(), float(rng.uniform(*LOW_MM))
        if low < (LOW_SHARE_WIDE if wide else LOW_SHARE):
            more = min(round(low_mm / spacing), MOST - slices)
            bottom, slices = bottom - more * spacing, slices + more
        positions = bottom + spacing * (np.arange(slices) + 0.5)
        return cls(
            rows=rows,
            columns=columns,
            pixel_spacing_mm=(pixel, pixel),
            positions_mm=tuple(float(p) for p in positions),
            thickness_mm=(spacing * overlap,) * slices,
            centre_mm=centre,
            tilt_deg=tilt if chance < tilted else 0.0,
        )

    def thinner(self, parts: int) -> ScanGeometry:
        """Return planes that stand for the same range in `parts` gapless slices for each of these."""
        steps = np.repeat(self.spans_mm / parts, parts)
        low = self.positions_mm[0] - self.spans_mm[0] / 2
        positions = low + np.cumsum(steps) - steps / 2
        return replace(self, positions_mm=tuple(positions.tolist()), thickness_mm=tuple(steps.astype(float).tolist()))

    def part(self, first: int, count: int) -> ScanGeometry:
        """Return `count` of the planes from the one of index `first` on."""
        kept = slice(first, first + count)
        return replace(self, positions_mm=self.positions_mm[kept], thickness_mm=self.thickness_mm[kept])


def draw_geometry(seed: int, population: Population = TRAINING) -> ScanGeometry:
    """Return the geometry of a seed's main series."""
    return ScanGeometry.draw(stream(seed, "geometry"), population)


def _clip(value: float, low: float, high: float) -> float:
    """Return a number held between two."""
    return float(np.clip(value, low, high))
