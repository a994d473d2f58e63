# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The part of a slice that is looked at: a turned, scaled, possibly mirrored rectangle, and how arrays are cut to it.

A noise-free object is cut to a view before the scanner sees it, so that noise and point spread belong to the view's own
pixels, are never interpolated, and cost no more than the view is large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]

AIR_HU = -1024


@dataclass(frozen=True)
class View:
    """Where a crop is cut from a slice.

    Attributes
    ----------
    centre
        (y, x) in pixels of the slice.
    angle
        Rotation in radians.
    scale
        Pixels of the slice per pixel of the crop.
    mirrored
        Whether left and right are swapped.
    """

    centre: tuple[float, float]
    angle: float = 0.0
    scale: float = 1.0
    mirrored: bool = False

    @property
    def steps(self) -> NDArray[np.float64]:
        """The way in the slice (y, x) of one row (first column) and of one column (second column), [2, 2]."""
        cos, sin = self.scale * np.cos(self.angle), self.scale * np.sin(self.angle)
        side = -1.0 if self.mirrored else 1.0
        return np.array([[cos, side * sin], [-sin, side * cos]])

    def corner(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Return where in the slice (y, x) the first pixel of a crop of this size lies."""
        turn, half = self.steps, (np.asarray(size) - 1) / 2
        away = np.array([turn[0, 0] * half[0] + turn[0, 1] * half[1], turn[1, 0] * half[0] + turn[1, 1] * half[1]])
        return np.asarray(np.asarray(self.centre) - away, np.float64)

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> View:
        """Return the view that is the slice itself."""
        return cls(((shape[0] - 1) / 2, (shape[1] - 1) / 2))


def cut(
    volume: NDArray[Any],
    view: View,
    size: tuple[int, int],
    *,
    corner: tuple[int, int] = (0, 0),
    nearest: bool = False,
    around: float = AIR_HU,
) -> NDArray[Any]:
    """Return a view of all planes of a volume.

    Parameters
    ----------
    volume: [Z, y, x], of which only what the view touches is read: it may be a memory-mapped file.
    size: rows and columns of the result.
    corner: where the volume's first pixel lies in the slice: beyond a stored box there is `around`.
    nearest: labels are taken, values are interpolated (linearly).

    Returns
    -------
    [Z, *size], float32, or the volume's own type where the nearest is taken.
    """
    steps, first = view.steps, view.corner(size)
    out = np.full((len(volume), *size), around, volume.dtype if nearest else np.float32)
    ends = first + np.array([[0, 0], steps[:, 0] * (size[0] - 1), steps[:, 1] * (size[1] - 1), (0, 0)])
    ends[3] = ends[1] + ends[2] - first
    low = np.clip(np.floor(ends.min(0)).astype(int) - 1 - corner, 0, volume.shape[1:])
    high = np.clip(np.ceil(ends.max(0)).astype(int) + 2 - corner, 0, volume.shape[1:])
    if (high - low < 2).any():
        return out
    window = np.asarray(volume[:, low[0] : high[0], low[1] : high[1]])
    at = first - corner - low
    if np.array_equal(steps, np.eye(2)) and np.array_equal(at, np.rint(at)):
        for plane, result in zip(window, out, strict=True):
            _lay(plane, at.astype(int), result)
        return out
    rows, columns = (np.arange(n, dtype=np.float32) for n in size)
    y, x = (
        np.float32(at[axis]) + np.float32(steps[axis, 0]) * rows[:, None] + np.float32(steps[axis, 1]) * columns
        for axis in (0, 1)
    )
    height, width = window.shape[1:]
    outside = (y < 0) | (x < 0) | (y > height - 1) | (x > width - 1)
    if nearest:
        index = np.clip(y + 0.5, 0, height - 1).astype(np.int32) * width
        index += np.clip(x + 0.5, 0, width - 1).astype(np.int32)
        for plane, result in zip(window, out, strict=True):
            if plane.any():
                np.take(plane.ravel(), index, out=result)
    else:
        y, x = np.clip(y, 0, height - 1.001), np.clip(x, 0, width - 1.001)
        y_low, x_low = y.astype(np.int32), x.astype(np.int32)
        index = y_low * width + x_low
        down, right = np.asarray(y - y_low, np.float32), np.asarray(x - x_low, np.float32)
        for plane, result in zip(window, out, strict=True):
            _interpolate(np.asarray(plane, np.float32).ravel(), width, index, down, right, result)
    out[:, outside] = around
    return out


def _interpolate(
    flat: Field, width: int, index: NDArray[np.int32], down: Field, right: Field, result: NDArray[Any]
) -> None:
    """Fill `result` with what a plane of `width` columns has `down` and `right` (parts of a pixel) of `index`."""
    upper, other = np.take(flat, index), np.take(flat, index + 1)
    upper += (other - upper) * right
    lower, other = np.take(flat, index + width), np.take(flat, index + (width + 1))
    lower += (other - lower) * right
    np.multiply(lower - upper, down, out=result)
    result += upper


def _lay(plane: NDArray[Any], at: NDArray[np.int_], result: NDArray[Any]) -> None:
    """Copy the part of a plane that begins at the pixel `at` (which may lie outside) into `result`."""
    low = np.maximum(at, 0)
    high = np.minimum(at + result.shape, plane.shape)
    if (high > low).all():
        result[low[0] - at[0] : high[0] - at[0], low[1] - at[1] : high[1] - at[1]] = plane[
            low[0] : high[0], low[1] : high[1]
        ]
