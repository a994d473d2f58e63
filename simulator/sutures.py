# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where the sutures of one skull run: thin dark lines through its tables, and the borders of epidural blood.

The dura grows into coronal, lambdoid, sagittal and squamosal sutures, so an epidural hematoma stops there (Gean,
Imaging of Head Trauma, 1994). Their course in MNI space is from the usual craniometric points (bregma, lambda, pterion,
asterion); they close slowly in adults, from inside out (Todd & Lyon, Am J Phys Anthropol 1924).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import smoothstep

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Sutures:
    """The sutures of one head.

    Attributes
    ----------
    bregma_y, pterion_y: MNI y (mm) of the coronal suture at the midline and 60 mm beside it.
    lambda_z, lambda_y: MNI z and y of the point where the sagittal suture ends behind.
    fall: how many mm the lambdoid sutures fall for one to the side.
    squama_z: MNI z of the squamosal sutures' highest point.
    sway_mm: how far the sagittal suture lies off the midline.
    metopic: whether the suture between the frontal bones has stayed open.
    width_mm, open: width of the gap, and how much of it is left, 0 to 1.
    phase: of the interdigitations.
    """

    bregma_y: float
    pterion_y: float
    lambda_z: float
    lambda_y: float
    fall: float
    squama_z: float
    sway_mm: float
    metopic: bool
    width_mm: float
    open: float
    phase: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age_years: float) -> Sutures:
        """Return the sutures of a head of this age."""
        bregma = float(rng.normal(16, 5))
        closed = np.clip((age_years - 25) / 70, 0, 1) * rng.uniform(0.3, 1.1)
        return cls(
            bregma_y=bregma,
            pterion_y=bregma + float(rng.normal(7, 3)),
            lambda_z=float(rng.normal(38, 5)),
            lambda_y=float(rng.normal(-92, 3)),
            fall=float(rng.uniform(0.9, 1.2)),
            squama_z=float(rng.normal(22, 4)),
            sway_mm=float(rng.normal(0, 2)),
            metopic=bool(rng.random() < 0.07),
            width_mm=float(rng.uniform(0.5, 1.5)),
            open=float(np.clip(rng.uniform(0.7, 1.0) - closed, 0.05, 1)),
            phase=float(rng.uniform(0, 2 * np.pi)),
        )

    def _courses(self, z: Field, y: Field, x: Field) -> list[tuple[Field, Field, Field]]:
        """Return for coronal, sagittal, lambdoid and metopic suture: mm across it, along it, and beyond its ends."""
        side = np.abs(x)
        coronal = y - np.float32(self.bregma_y) - np.float32(self.pterion_y - self.bregma_y) * (side / 60) ** 2
        sway = x - np.float32(self.sway_mm)
        lambdoid = (z - np.float32(self.lambda_z) + np.float32(self.fall) * side) / np.float32(np.hypot(1, self.fall))
        behind_bregma = np.maximum(0, y - np.float32(self.bregma_y))
        beyond_sagittal = np.maximum(behind_bregma, np.maximum(0, np.float32(self.lambda_y) - y))
        under_lambda = np.maximum(0, np.float32(self.lambda_z) - z) * (y < 0)
        courses = [
            (coronal, side + 0 * z, np.maximum(0, -10 - z) + 0 * x),
            (sway + 0 * z, y, np.maximum(beyond_sagittal, under_lambda) + 0 * x),
            (lambdoid + 0 * y, side + 0 * z, np.maximum(np.maximum(0, y + 40), np.maximum(0, -28 - z)) + 0 * x),
        ]
        if self.metopic:
            before = np.maximum(np.maximum(0, np.float32(self.bregma_y) - y), np.maximum(0, 8 - z))
            courses.append((sway + 0 * z, y, before + 0 * x))
        return courses

    def distance(self, z: Field, y: Field, x: Field) -> Field:
        """Return the distance (mm, about) along the vault to the nearest suture, squamosal ones too, at MNI places."""
        arch = np.float32(self.squama_z) - 24 * ((y + 14) / 36) ** 2
        squamosal = np.hypot(0.8 * (z - arch), np.maximum(0, 48 - np.abs(x)) + np.maximum(0, np.abs(y + 14) - 38))
        nearest = squamosal
        for across, _, beyond in self._courses(z, y, x):
            nearest = np.minimum(nearest, np.hypot(across, beyond))
        return np.asarray(nearest, np.float32)

    def gap(self, z: Field, y: Field, x: Field, outwards: Field) -> Field:
        """Return how much of each skull voxel is the gap of a suture.

        Parameters
        ----------
        z, y, x: MNI coordinates, mm.
        outwards: 0 at the inner table, where sutures are straight, 1 at the outer one, where they interdigitate.
        """
        out = np.zeros(np.broadcast_shapes(z.shape, y.shape, x.shape), np.float32)
        for across, along, beyond in self._courses(z, y, x):
            turns = np.sin(along * np.float32(0.9) + np.float32(self.phase))
            turns = turns + 0.7 * np.sin(along * np.float32(1.7) + np.float32(2 * self.phase))
            off = np.abs(across + (0.3 + 1.1 * outwards) * turns)
            line = np.clip(np.float32(self.width_mm / 2 + 0.5) - off, 0, 1) * (1 - smoothstep(beyond / 6))
            out = np.maximum(out, line)
        return np.asarray(np.float32(self.open) * out, np.float32)
