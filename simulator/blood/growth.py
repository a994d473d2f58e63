# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a bleed of a given volume is on the atlas grid, and the search for the size that has the volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Box

Field = NDArray[np.float32]

PUSHES_FROM_ML = 0.4  # smaller bleeds move nothing that a scan would show


@dataclass(frozen=True)
class Growth:
    """A bleed on the atlas grid.

    Attributes
    ----------
    box: the part of the grid that the arrays cover.
    fraction: float32 [Z, Y, X] of the box, how much of each voxel is blood.
    density: float32 [Z, Y, X] of the box, HU of the blood itself.
    oedema: float32 [Z, Y, X] of the box, HU taken from the tissue around, or None.
    push: float32 [3, z, y, x] on the inner warp's grid, see `Anatomy.push_tissue`, or None.
    """

    box: Box
    fraction: Field = field(repr=False)
    density: Field = field(repr=False)
    oedema: Field | None = field(default=None, repr=False)
    push: Field | None = field(default=None, repr=False)

    @property
    def low(self) -> NDArray[np.int64]:
        """The index of the box's first voxel."""
        return np.array([s.start for s in self.box])

    def inside(self, other: Box) -> Box:
        """Return this box's place in another one that holds it."""
        z, y, x = (slice(s.start - o.start, s.stop - o.start) for s, o in zip(self.box, other, strict=True))
        return z, y, x


class Plan(Protocol):
    """A bleed whose site and shape are drawn and whose volume is open."""

    def grow(self, volume_ml: float) -> Growth:
        """Return the bleed with about `volume_ml` of blood (true fill, not labelled voxels)."""
        ...

    @property
    def under_hu(self) -> float:
        """HU of the tissue that pushing blood replaces, about, for measuring labels while growing."""
        ...


def size_for(volume: Callable[[float], float], wanted: float, low: float, high: float, steps: int = 14) -> float:
    """Return the size between `low` and `high` at which the rising function `volume` reaches `wanted`."""
    for _ in range(steps):
        middle = 0.5 * (low + high)
        if volume(middle) < wanted:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def trim(growth: Growth, within: Box, margin: int = 2) -> Growth:
    """Return the growth cut to where there is blood or oedema, and to a box of the grid."""
    present = growth.fraction > 0
    if growth.oedema is not None:
        present = present | (growth.oedema > 0.2)
    found = ndimage.find_objects(present.astype(np.uint8))
    cut = tuple(
        slice(max(0, w.start - b.start, s.start - margin), min(w.stop - b.start, n, s.stop + margin))
        for s, n, b, w in zip(found[0] if found else (slice(0, 4),) * 3, present.shape, growth.box, within, strict=True)
    )
    z, y, x = (slice(b.start + c.start, b.start + c.stop) for b, c in zip(growth.box, cut, strict=True))
    return Growth(
        box=(z, y, x),
        fraction=growth.fraction[cut],
        density=growth.density[cut],
        oedema=None if growth.oedema is None else growth.oedema[cut],
        push=growth.push,
    )
