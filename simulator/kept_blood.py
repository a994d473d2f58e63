# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The blood of a scan that is kept before the scanner, by bleed: what the labels of thicker slices follow from.

A thick slice shows the mean of the planes it is made of. Whether its voxels are labelled follows, by the definition in
`labels.py`, from the means of the blood's fraction and rise, and not from the labels of the planes: of two planes one
may be labelled and their mean not, and blood that fills one of three may still raise their mean enough to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType
from simulator.labels import SeenBleed, labelled

VOXEL: Final = np.dtype([("at", "<u4"), ("bleed", "u1"), ("fraction", "u1"), ("bone", "u1"), ("rise", "<f2")])
_WHOLE: Final = 255  # of a fraction as it is kept
_LEAST_FRACTION: Final = 0.5 / _WHOLE


@dataclass(frozen=True)
class KeptBlood:
    """The voxels of every plane that hold blood.

    Attributes
    ----------
    types: of each bleed.
    shape: rows and columns of a plane.
    starts: int64 [Z + 1], where in `voxels` those of each plane begin, and their number.
    voxels: [N] of `VOXEL`, plane by plane: place in the plane (row by row), number of the bleed, its fraction and the
        bone's (of 255), and the HU by which it raises the voxel.
    """

    types: tuple[HemorrhageType, ...]
    shape: tuple[int, int]
    starts: NDArray[np.int64] = field(repr=False)
    voxels: NDArray[np.void] = field(repr=False)

    @classmethod
    def of(cls, bleeds: Sequence[SeenBleed], shape: tuple[int, int, int]) -> KeptBlood:
        """Return the blood of bleeds as planes [Z, Y, X] show them."""
        kept = [np.zeros(0, VOXEL)]
        starts = np.zeros(shape[0] + 1, np.int64)
        for k in range(shape[0]):
            starts[k + 1] = starts[k]
            for number, bleed in enumerate(bleeds):
                at = np.flatnonzero(bleed.fraction[k] >= _LEAST_FRACTION)
                voxels = np.zeros(len(at), VOXEL)
                voxels["at"], voxels["bleed"] = at, number
                for name, values in (("fraction", bleed.fraction), ("bone", bleed.bone)):
                    voxels[name] = np.rint(np.clip(values[k].ravel()[at], 0, 1) * _WHOLE)
                voxels["rise"] = bleed.rise[k].ravel()[at]
                kept.append(voxels)
                starts[k + 1] += len(at)
        return cls(tuple(bleed.type for bleed in bleeds), shape[1:], starts, np.concatenate(kept))

    def labels(self, slices: Sequence[range], pixel_spacing_mm: tuple[float, float]) -> NDArray[np.uint8]:
        """Return the labels uint8 [slices, Y, X] of slices that are the means of some planes each."""
        out = np.zeros((len(slices), *self.shape), np.uint8)
        for k, planes in enumerate(slices):
            seen = self._merged(planes)
            if seen:
                out[k] = labelled(seen, (1, *self.shape), pixel_spacing_mm)[0]
        return out

    def _merged(self, planes: range) -> list[SeenBleed]:
        """Return the bleeds that the mean of planes shows, each [1, Y, X].

        Bone is the mean of those planes that hold blood of the bleed at the place; it is kept nowhere else.
        """
        voxels = self.voxels[self.starts[planes.start] : self.starts[planes.stop]]
        out = []
        for number in np.unique(voxels["bleed"]):
            mine = voxels[voxels["bleed"] == number]
            sums = {
                name: np.bincount(mine["at"], mine[name], self.shape[0] * self.shape[1])
                for name in ("fraction", "rise", "bone")
            }
            count = np.bincount(mine["at"], minlength=self.shape[0] * self.shape[1])
            fraction = sums["fraction"] / (_WHOLE * len(planes))
            rise = sums["rise"] / len(planes)
            bone = sums["bone"] / (_WHOLE * np.maximum(count, 1))
            shown = (values.astype(np.float32).reshape(1, *self.shape) for values in (fraction, rise, bone))
            out.append(SeenBleed(self.types[number], *shown))
        return out
