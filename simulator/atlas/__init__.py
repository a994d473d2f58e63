# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The committed anatomies that simulated heads start from, as float arrays on one 1 mm grid.

`colin27.npz` is derived by `derive.py` from the MNI's single-subject T1; training knows it alone. `icbm152.npz` is
derived by `derive_icbm152.py` from the MNI's average of 152 brains and kept for the independent cohort. Both carry the
notices in `LICENSE`, the GPL of their label map among them. Loading is cached: one copy a process, shared by all heads,
never written to.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]

DISTANCE_STEP_MM = 0.25  # one count of a stored distance
DISTANCE_GRID_MM = 2  # surfaces are smooth: every second voxel keeps them
DISTANCE_BLUR_MM = 1.2  # standard deviation; without it each count is a terrace where a vault is flat
FRACTION_STEPS = 15  # a stored fraction of 1

REGIONS = {
    "outside": 0,
    "frontal": 1,
    "parietal": 2,
    "temporal": 3,
    "occipital": 4,
    "insula": 5,
    "caudate": 6,
    "putamen": 7,
    "pallidum": 8,
    "thalamus": 9,
    "cerebellum": 10,
    "brainstem": 11,
    "ventricles": 12,
    "limbic": 13,
}
"""The regions of the cavity and their values in `Atlas.region`."""


@dataclass(frozen=True)
class Atlas:
    """One anatomy. All arrays are [Z, Y, X] in contract orientation, 1 mm, read-only.

    Attributes
    ----------
    grey, white, ventricle, venous: fractions of the voxel, 0 to 1, inside the skull; `venous` is dural sinuses and what
        lies about the sella.
    air, mastoid, fat, bone, globe: fractions outside the intracranial cavity; `mastoid` is where air cells lie, `bone`
        that of the face, `globe` the eyes' vitreous.
    cavity_distance: mm to the inner table, negative inside.
    skull_distance: mm to the outer table, negative inside.
    head_distance: mm to the skin, negative inside.
    ventricle_distance: mm to the ventricles' walls, negative inside.
    falx_distance: mm to the plane between the hemispheres, negative on the patient's left.
    tentorium_distance: mm to the sheet between cerebrum and cerebellum, negative below.
    deep_grey: fraction of caudate, putamen, pallidum and thalamus, blurred.
    region: uint8, a value of `REGIONS` for every voxel of the cavity.
    origin_mni: MNI coordinates z, y, x (mm) of voxel [0, 0, 0]; z rises, y and x fall with the index.
    """

    grey: Field
    white: Field
    ventricle: Field
    venous: Field
    air: Field
    mastoid: Field
    fat: Field
    bone: Field
    globe: Field
    cavity_distance: Field
    skull_distance: Field
    head_distance: Field
    ventricle_distance: Field
    falx_distance: Field
    tentorium_distance: Field
    deep_grey: Field
    region: NDArray[np.uint8]
    origin_mni: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, int, int]:
        """The grid's size."""
        z, y, x = self.grey.shape
        return z, y, x

    def mni(self) -> tuple[Field, Field, Field]:
        """Return MNI z, y, x (mm) of the voxels as broadcastable arrays."""
        z, y, x = self.origin_mni
        return (
            (z + np.arange(self.shape[0], dtype=np.float32))[:, None, None],
            (y - np.arange(self.shape[1], dtype=np.float32))[None, :, None],
            (x - np.arange(self.shape[2], dtype=np.float32))[None, None, :],
        )


def _finer(coarse: NDArray[np.int8], shape: tuple[int, ...]) -> Field:
    """Return a distance kept on every second voxel as mm on all voxels, linear between."""
    blur = DISTANCE_BLUR_MM / DISTANCE_GRID_MM
    field: Field = ndimage.gaussian_filter(coarse.astype(np.float32), blur, mode="nearest")
    field *= np.float32(DISTANCE_STEP_MM)
    for axis, size in enumerate(shape):
        at = np.arange(size) / DISTANCE_GRID_MM
        low = np.minimum(at.astype(int), field.shape[axis] - 1)
        high = np.minimum(low + 1, field.shape[axis] - 1)
        part = (at - low).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        field = np.take(field, low, axis) * (1 - part) + np.take(field, high, axis) * part
    return field


@cache
def load_atlas(name: str = "colin27") -> Atlas:
    """Return the anatomy of that name.

    Raises
    ------
    FileNotFoundError
        If no such anatomy is committed.
    """
    with np.load(Path(__file__).with_name(f"{name}.npz"), allow_pickle=False) as stored:
        arrays = {key: stored[key] for key in stored.files}
    shape = arrays["grey"].shape
    origin = arrays.pop("origin_mni")
    fields: dict[str, NDArray[np.float32]] = {}
    region = arrays.pop("region")
    for key, array in arrays.items():
        fields[key] = _finer(array, shape) if array.dtype == np.int8 else array.astype(np.float32) / FRACTION_STEPS
        fields[key].flags.writeable = False
    region.flags.writeable = False
    return Atlas(**fields, region=region, origin_mni=(float(origin[0]), float(origin[1]), float(origin[2])))
