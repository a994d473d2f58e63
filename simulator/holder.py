# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The head holder: a shell and its foam behind the head, seen at the edge of most head CTs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.geometry import ScanGeometry

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Holder:
    """A trough along z, open to the front.

    Attributes
    ----------
    centre_mm: patient x, y of the trough's axis.
    radius_mm: of the inner face, across and to the back.
    shell_mm, shell_hu: thickness and HU of the shell.
    foam_mm, foam_hu: thickness and HU of the foam inside it.
    """

    centre_mm: tuple[float, float]
    radius_mm: tuple[float, float]
    shell_mm: float
    shell_hu: float
    foam_mm: float
    foam_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Holder:
        """Return one holder."""
        return cls(
            centre_mm=(float(rng.normal(0, 3)), float(rng.normal(20, 4))),
            radius_mm=(float(rng.uniform(98, 112)), float(rng.uniform(104, 118))),
            shell_mm=float(rng.uniform(1.5, 4)),
            shell_hu=float(rng.uniform(-500, 120)),
            foam_mm=float(rng.uniform(0, 14)),
            foam_hu=float(rng.uniform(-985, -930)),
        )

    def lay(self, hu: Field, geometry: ScanGeometry) -> None:
        """Put the holder into the air of a noise-free scan [Z, Y, X]."""
        row, column, _ = geometry.axes
        dy, dx = geometry.pixel_spacing_mm
        j, i = np.arange(geometry.columns) * dx, np.arange(geometry.rows) * dy
        mean_radius = float(np.mean(self.radius_mm))
        for plane, origin in zip(hu, geometry.origins_mm, strict=True):
            across, back = (
                np.asarray(
                    (origin[a] - self.centre_mm[a] + j[None, :] * row[a] + i[:, None] * column[a]) / self.radius_mm[a],
                    np.float32,
                )
                for a in (0, 1)
            )
            outside = (np.hypot(across, back) - 1) * np.float32(mean_radius)
            behind = np.clip(back * self.radius_mm[1] + 30, 0, 1)
            shell = np.clip(0.5 + outside, 0, 1) * np.clip(0.5 + self.shell_mm - outside, 0, 1) * behind
            foam = np.clip(0.5 - outside, 0, 1) * np.clip(0.5 + self.foam_mm + outside, 0, 1) * behind
            air = np.clip((-plane - 700) / 300, 0, 1)
            plane += air * (shell * np.float32(self.shell_hu + 1000) + foam * np.float32(self.foam_hu + 1000))
