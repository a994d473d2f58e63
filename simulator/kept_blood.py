# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The blood of a scan that is kept before the scanner, by bleed: what the labels of thicker slices follow from.

A thick slice shows the mean of the planes it is made of. Whether its voxels are labelled follows, by the definition in
`labels.py`, from the means of the blood's fraction and rise and of the planes' HU, and not from the labels of the
planes: of two planes one may be labelled and their mean not, and blood that fills one of three may still raise their
mean enough to be seen, or lie where the other two are bone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType
from simulator.labels import SeenBleed, label_voxels, shown_hu

VOXEL: Final = np.dtype([("at", "<u4"), ("bleed", "u1"), ("fraction", "u1"), ("rise", "<f2")])
_WHOLE: Final = 255  # of a fraction as it is kept
_LEAST_FRACTION: Final = 0.5 / _WHOLE
_BLUR_PX: Final = 6  # as far as the kernel that labels are drawn with blurs, and further


@dataclass(frozen=True)
class KeptBlood:
    """The voxels of every plane that hold blood.

    Attributes
    ----------
    types: of each bleed.
    shape: rows and columns of a plane.
    starts: int64 [Z + 1], where in `voxels` those of each plane begin, and their number.
    voxels: [N] of `VOXEL`, plane by plane: place in the plane (row by row), number of the bleed, its fraction (of 255),
        and the HU by which it raises the voxel.
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
                voxels["fraction"] = np.rint(np.clip(bleed.fraction[k].ravel()[at], 0, 1) * _WHOLE)
                voxels["rise"] = bleed.rise[k].ravel()[at]
                kept.append(voxels)
                starts[k + 1] += len(at)
        return cls(tuple(bleed.type for bleed in bleeds), shape[1:], starts, np.concatenate(kept))

    def labels(
        self,
        slices: Sequence[range],
        pixel_spacing_mm: tuple[float, float],
        hu: NDArray[np.int16],
        corner: tuple[int, int] = (0, 0),
    ) -> NDArray[np.uint8]:
        """Return the labels uint8 [slices, Y, X] of slices that are the means of some planes each.

        Parameters
        ----------
        hu: int16 [Z, y, x], the noise-free planes, or the box of them that holds the head.
        corner: row and column of the box's first pixel in a plane.
        """
        out = np.zeros((len(slices), *self.shape), np.uint8)
        for k, planes in enumerate(slices):
            seen = self._merge(planes, pixel_spacing_mm, hu, corner)
            if seen:
                out[k] = label_voxels(seen, (1, *self.shape), pixel_spacing_mm)[0]
        return out

    def _merge(
        self,
        planes: range,
        pixel_spacing_mm: tuple[float, float],
        hu: NDArray[np.int16],
        corner: tuple[int, int],
    ) -> list[SeenBleed]:
        """Return the bleeds that the mean of planes shows, each [1, Y, X]."""
        voxels = self.voxels[self.starts[planes.start] : self.starts[planes.stop]]
        if not len(voxels):
            return []
        shown = np.zeros((1, *self.shape), np.float32)
        of_slice, of_box = self._window(voxels["at"], corner, hu.shape[1:])
        mean = hu[planes.start : planes.stop, *of_box].mean(0, dtype=np.float32)
        shown[0, *of_slice] = shown_hu(mean, pixel_spacing_mm)
        out = []
        for number in np.unique(voxels["bleed"]):
            mine = voxels[voxels["bleed"] == number]
            fraction, rise = (
                np.bincount(mine["at"], mine[name], shown.size).astype(np.float32).reshape(shown.shape)
                for name in ("fraction", "rise")
            )
            fraction /= _WHOLE * len(planes)
            rise /= len(planes)
            out.append(SeenBleed(self.types[number], fraction, rise, shown))
        return out

    def _window(
        self, at: NDArray[np.uint32], corner: tuple[int, int], size: tuple[int, ...]
    ) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Return what of a plane the blood at some places, and the blur about it, lies in: there, and in a box."""
        spans = []
        for places, first, n in zip(np.divmod(at, self.shape[1]), corner, size, strict=True):
            spans.append((max(int(places.min()) - _BLUR_PX, first), min(int(places.max()) + 1 + _BLUR_PX, first + n)))
        (y0, y1), (x0, x1) = spans
        return (slice(y0, y1), slice(x0, x1)), (
            slice(y0 - corner[0], y1 - corner[0]),
            slice(x0 - corner[1], x1 - corner[1]),
        )
