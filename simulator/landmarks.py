# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where one is inside one head's skull: the coordinates and distances that dura, vessels and mimics are placed by."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]


@dataclass(frozen=True)
class Landmarks:
    """What is known of each voxel of a head's cavity box, float32, broadcastable to [Z, Y, X].

    Attributes
    ----------
    z, y, x: MNI coordinates, mm (up, to the front, to the right).
    depth: mm below the inner table.
    falx: mm to the plane between the hemispheres, positive to the right, as the warped brain has it.
    tentorium: mm to the sheet between cerebrum and cerebellum, negative below.
    from_ventricle: mm to the nearest ventricle, negative inside.
    brain, white: fractions of the voxel.
    texture: a smooth random field of unit standard deviation.
    """

    z: Field = field(repr=False)
    y: Field = field(repr=False)
    x: Field = field(repr=False)
    depth: Field = field(repr=False)
    falx: Field = field(repr=False)
    tentorium: Field = field(repr=False)
    from_ventricle: Field = field(repr=False)
    brain: Field = field(repr=False)
    white: Field = field(repr=False)
    texture: Field = field(repr=False)

    def around(self, centre: tuple[float, float, float], reach: float) -> tuple[tuple[slice, slice, slice], Field]:
        """Return the box within `reach` mm of an MNI point (z, y, x), and the distances (mm) to the point in it."""
        box = []
        squares = []
        for axis, (grid, at) in enumerate(zip((self.z, self.y, self.x), centre, strict=True)):
            line = grid.ravel()
            near = np.flatnonzero(np.abs(line - at) <= reach)
            box.append(slice(int(near[0]), int(near[-1]) + 1) if near.size else slice(0, 0))
            shape = [1, 1, 1]
            shape[axis] = -1
            squares.append(((line[box[-1]] - np.float32(at)) ** 2).reshape(shape))
        return (box[0], box[1], box[2]), np.asarray(np.sqrt(squares[0] + squares[1] + squares[2]), np.float32)


def smoothstep(value: NDArray[np.floating]) -> Field:
    """Return 0 below 0, 1 above 1 and a smooth rise between."""
    clipped = np.clip(np.asarray(value, np.float32), 0, 1)
    out = np.asarray(np.float32(-2) * clipped)
    out += np.float32(3)
    out *= clipped
    out *= clipped
    return out
