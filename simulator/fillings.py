# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Dental metal: fillings and crowns of teeth, seen where a scan reaches down to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.geometry import ScanGeometry
from simulator.teeth import MOLARS, Teeth

Field = NDArray[np.float32]
Point = tuple[float, float, float]

METAL_HU = 9000.0  # amalgam and gold are far above what a scanner stores


@dataclass(frozen=True)
class Fillings:
    """The metal in one head's teeth: MNI z, y, x (mm) and radius (mm) of each piece."""

    pieces: tuple[tuple[Point, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, teeth: Teeth) -> Fillings:
        """Return the fillings of the premolars and molars that a head has left; half of the heads have none."""
        left = [(row, tooth) for row, there in enumerate(teeth.there) for tooth in MOLARS if there[tooth]]
        wanted = int(rng.integers(1, 9)) if rng.random() < 0.5 else 0
        pieces = []
        for row, tooth in (left[i] for i in rng.permutation(len(left))[:wanted]):
            z, y, x = teeth.crown(row // 2, row % 2, tooth)
            dz, dy, dx = (float(v) for v in rng.normal(0, 0.8, 3))
            pieces.append(((z + dz, y + dy, x + dx), float(rng.uniform(1.2, 4.0))))
        return cls(tuple(pieces))

    def lay(
        self,
        hu: Field,
        geometry: ScanGeometry,
        atlas_index: Callable[[NDArray[np.floating]], NDArray[np.float64]],
        origin: Point,
    ) -> None:
        """Put the metal into a noise-free scan [Z, Y, X].

        Parameters
        ----------
        atlas_index: the map from patient points (x, y, z) to atlas voxels (z, y, x), see `Anatomy.atlas_index`.
        origin: MNI z, y, x of the atlas grid's first voxel.
        """
        row, column, normal = geometry.axes
        dy, dx = geometry.pixel_spacing_mm
        for (z, y, x), radius in self.pieces:
            wanted = np.array([z - origin[0], origin[1] - y, origin[2] - x])
            at = patient_point(atlas_index, wanted)
            for plane, corner, thickness in zip(hu, geometry.origins_mm, geometry.thickness_mm, strict=True):
                off = at - corner
                height = abs(float((off * normal).sum()))
                # How much of the slice's thickness the piece fills in its middle.
                share = np.clip((radius + thickness / 2 - height) / thickness, 0, 1)
                if share <= 0:
                    continue
                i, j = float((off * column).sum()) / dy, float((off * row).sum()) / dx
                reach = radius / min(dy, dx) + 2
                rows = slice(max(0, int(i - reach)), max(0, min(geometry.rows, int(i + reach) + 1)))
                columns = slice(max(0, int(j - reach)), max(0, min(geometry.columns, int(j + reach) + 1)))
                down = (np.arange(rows.start, rows.stop) - i)[:, None] * dy
                across = (np.arange(columns.start, columns.stop) - j)[None, :] * dx
                disc = np.clip((radius - np.hypot(down, across)) / dx + 0.5, 0, 1) * share
                plane[rows, columns] += np.asarray(disc, np.float32) * (np.float32(METAL_HU) - plane[rows, columns])


def patient_point(
    atlas_index: Callable[[NDArray[np.floating]], NDArray[np.float64]], wanted: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the patient point (x, y, z; mm) that the map takes to an atlas voxel (z, y, x)."""
    point = np.zeros(3)
    for _ in range(25):
        around = atlas_index(point + np.vstack([np.zeros((1, 3)), 4.0 * np.eye(3)]))
        slope = (around[1:] - around[0]) / 4.0  # how the voxel moves with x, y and z
        # Cramer's rule: a solver of a library may round in its own way.
        off = wanted - around[0]
        volume = (slope[0] * np.cross(slope[1], slope[2])).sum()
        step = [(off * np.cross(slope[(k + 1) % 3], slope[(k + 2) % 3])).sum() / volume for k in range(3)]
        point = point + 0.8 * np.asarray(step)
    return point
