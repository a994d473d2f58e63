# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""RoIAlign (He et al., 2017): features of a box on a regular grid, by bilinear interpolation.

The levels that are read lie flattened in one table of rows (one row a pixel of a level, of a slice), so that a
sample is four Gathers with computed row numbers: no RoIAlign node, no crop-and-resize, no branch on the level.
One sample is taken a grid cell; the level is chosen so that a cell spans at most about one and a half pixels of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from keras import ops
from numpy.typing import NDArray

from appliance.reading.contract import ANCHOR_STRIDES_PX
from training.network.tensors import Tensor, take

# A box whose geometric mean side is below 40 px is read at stride 4, below 80 px at stride 8, and so on.
CELLS_PER_BOX: Final = 10


def box_level(boxes: Tensor, levels: int) -> Tensor:
    """Return the level, int32 [K], at which each of `boxes` [K, 4] is read, of the `levels` finest."""
    side = ops.sqrt((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))
    level = ops.zeros_like(side)
    for stride in ANCHOR_STRIDES_PX[: levels - 1]:
        level += ops.cast(side >= float(CELLS_PER_BOX * stride), "float32")
    return ops.cast(level, "int32")


def align(pyramid: list[Tensor], boxes: Tensor, slices: Tensor, size: int) -> Tensor:
    """Return the features of each box on a `size` x `size` grid of its cells' centres: [K, size, size, C].

    Parameters
    ----------
    pyramid
        The levels to read from, finest first: [S, H_l, W_l, C].
    boxes
        [K, 4] pixels of the input grid, fp32.
    slices
        int32 [K], the slice (0 .. S - 1) that each box lies on.
    """
    channels = pyramid[0].shape[-1]
    table = ops.concatenate([ops.reshape(level, [-1, channels]) for level in pyramid], axis=0)
    shapes = [tuple(level.shape[:3]) for level in pyramid]
    starts = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes[:-1])]).astype(np.int32)
    level = box_level(boxes, len(pyramid))

    def of_level(values: Sequence[int] | NDArray[np.int32], dtype: str = "int32") -> Tensor:
        return take(np.asarray(values, dtype), level)

    stride = of_level(ANCHOR_STRIDES_PX[: len(pyramid)], "float32")
    height, width = of_level([s[1] for s in shapes]), of_level([s[2] for s in shapes])
    origin = of_level(starts) + slices * height * width

    cell = (np.arange(size, dtype=np.float32) + 0.5) / size

    def samples(low: Tensor, high: Tensor, extent: Tensor) -> tuple[Tensor, ...]:
        last = ops.cast(extent - 1, "float32")[:, None]
        position = (low[:, None] + (high - low)[:, None] * cell) / stride[:, None] - 0.5
        position = ops.minimum(ops.maximum(position, 0.0), last)
        floor = ops.floor(position)
        return ops.cast(floor, "int32"), ops.cast(ops.minimum(floor + 1.0, last), "int32"), position - floor

    top, bottom, down = samples(boxes[:, 0], boxes[:, 2], height)
    left, right, across = samples(boxes[:, 1], boxes[:, 3], width)

    def corner(y: Tensor, x: Tensor) -> Tensor:
        return take(table, origin[:, None, None] + y[:, :, None] * width[:, None, None] + x[:, None, :])

    down, across = (ops.cast(weight, table.dtype) for weight in (down, across))
    down, across = down[:, :, None, None], across[:, None, :, None]
    upper = corner(top, left) * (1.0 - across) + corner(top, right) * across
    lower = corner(bottom, left) * (1.0 - across) + corner(bottom, right) * across
    return upper * (1.0 - down) + lower * down
