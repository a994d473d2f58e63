# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Falx, tentorium, dural sinuses and the large arteries at the base: what is bright inside every skull.

Flowing blood is as dense as the head's haematocrit makes it (`tissue.py`), dura a little less so: little less than
clot, and where they lie is what tells them from it. A sheet of dura is 0.5-2 mm thick, so that no slice of usual
thickness shows it at its full density, and nothing inside a skull has the sharp edges that voxels would give it. A
normal falx is seen behind in nine scans of ten, in front in four (Zimmerman et al., AJR 1982), and has been taken for
blood ever since (Osborn et al., Radiology 1980).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.landmarks import Landmarks, smoothstep

Field = NDArray[np.float32]
Point = tuple[float, float, float]

SOFT_MM = 0.9  # standard deviation of a sinus's edge

# MNI z, y, |x| (mm) along the arteries, and their radius (mm).
_BASILAR: tuple[Point, ...] = ((-46.0, -17.0, 0.0), (-34.0, -13.0, 0.5), (-22.0, -14.0, 0.0), (-14.0, -16.0, 0.0))
_CAROTID_TO_MIDDLE_CEREBRAL: tuple[Point, ...] = (
    (-26.0, 4.0, 12.0),
    (-19.0, 5.0, 13.0),
    (-18.0, 4.0, 22.0),
    (-14.0, 4.0, 33.0),
    (-9.0, 0.0, 40.0),
)
_ANTERIOR_CEREBRAL: tuple[Point, ...] = ((-18.0, 5.0, 11.0), (-14.0, 12.0, 3.0), (-8.0, 22.0, 1.5), (4.0, 33.0, 1.5))


def membranes(at: Landmarks) -> tuple[Field, Field]:
    """Return how much of each voxel is falx, and how much is tentorium, [Z, Y, X]."""
    lowest = np.where(at.y > 20, -16.0, np.where(at.y < -40, 4.0, 30.0))
    above = smoothstep((at.z - lowest) / 8) * smoothstep((at.from_ventricle - 3) / 4)
    # Thin in front, where few scans show it, thicker behind and at its root, and never even.
    half_mm = 0.35 + 0.5 * smoothstep((35 - at.y) / 95) + 0.1 * smoothstep((10 - at.depth) / 8) + 0.1 * at.texture
    falx = np.clip(np.clip(half_mm, 0.25, 1.0) + 0.5 - np.abs(at.falx), 0, 1) * above * (1 - 0.8 * at.brain)
    incisura = smoothstep((np.abs(at.x) - 16) / 8 + np.maximum(0, (-48 - at.y) / 8))
    here = incisura * (at.y < -22) * (at.z < 22) * (at.z > -34)
    half_mm = np.clip(0.6 + 0.2 * smoothstep((10 - at.depth) / 8) + 0.1 * at.texture, 0.3, 1.0)
    tentorium = np.clip(half_mm + 0.5 - np.abs(at.tentorium), 0, 1) * here * (1 - 0.6 * at.brain)
    return np.asarray(falx, np.float32), np.asarray(tentorium, np.float32)


def sinuses(at: Landmarks, transverse_widths: tuple[float, float]) -> Field:
    """Return how much of each voxel is dural sinus, [Z, Y, X].

    The sagittal sinus is a wedge under the vault at the midline, the transverse ones lie where the tentorium meets the
    skull behind: one of them is usually the wider.

    Parameters
    ----------
    transverse_widths: relative width of the transverse sinus where MNI x is positive and where it is negative.
    """
    sagittal = smoothstep((4.0 - np.abs(at.falx) - 0.35 * at.depth) / 2) * smoothstep((8 - at.depth) / 3)
    sagittal *= ((at.z > 60) | (at.y < -40) | ((at.z > 20) & (at.y > 0))) & (at.z > -5)
    left, right = transverse_widths[1], transverse_widths[0]
    width = np.float32(left) + np.float32(right - left) * smoothstep(at.x / 16 + 0.5)
    transverse = smoothstep((4.2 * width - np.abs(at.tentorium)) / 2) * smoothstep((7.5 * width - at.depth) / 3)
    transverse *= (at.y < -42) & (at.z < 12)
    return np.asarray(np.maximum(sagittal, transverse) * (1 - 0.7 * at.brain), np.float32)


def soften(sinus: Field, cavity: Field) -> Field:
    """Return sinuses [Z, Y, X] with soft edges towards the brain; the wall of bone, outside of `cavity`, stays.

    Their walls slant through voxels, and specks of a millimetre are bridging veins: neither is as dense as what fills
    a whole sinus.
    """
    here = (cavity > 0).astype(np.float32)
    near = ndimage.gaussian_filter(sinus * here, SOFT_MM, truncate=2.5)
    near /= np.maximum(ndimage.gaussian_filter(here, SOFT_MM, truncate=2.5), 0.05)
    return np.asarray(near, np.float32)


def lay_arteries(hu: Field, at: Landmarks, blood_hu: float, rng: np.random.Generator) -> None:
    """Draw the basilar, internal carotid, middle and anterior cerebral arteries into `hu` [Z, Y, X], where CSF is."""
    courses = [(_BASILAR, 0.0, float(rng.uniform(1.4, 2.2)))]
    for side in (-1.0, 1.0):
        courses.append((_CAROTID_TO_MIDDLE_CEREBRAL, side, float(rng.uniform(1.2, 1.9))))
        courses.append((_ANTERIOR_CEREBRAL, side, float(rng.uniform(0.8, 1.3))))
    for course, side, radius in courses:
        bend = rng.normal(0, 1.5, (len(course), 3))
        nodes = [(z + b[0], y + b[1], (side or 1.0) * x + b[2]) for (z, y, x), b in zip(course, bend, strict=True)]
        for start, end in pairwise(nodes):
            steps = max(2, int(np.linalg.norm(np.subtract(end, start)) / 1.5))
            for t in np.linspace(0, 1, steps, endpoint=False):
                z, y, x = (float(a + t * (b - a)) for a, b in zip(start, end, strict=True))
                box, distance = at.around((z, y, x), radius + 2)
                share = np.clip(radius + 0.5 - distance, 0, 1) * (1 - at.brain[box])
                hu[box] += share * np.maximum(np.float32(blood_hu) - hu[box], 0)
