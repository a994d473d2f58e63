# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The preconfigured boxes (Figure 1A) that the region-proposal network judges, for any in-plane size.

The whole grid is 512 x 512; crops that a network is trained on have the same layout on a smaller one.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import ANCHOR_ASPECTS, ANCHOR_SIZES_PX, ANCHOR_STRIDES_PX

PER_CELL: Final = len(ANCHOR_ASPECTS)


@cache
def level_anchors(matrix: int, level: int) -> NDArray[np.float32]:
    """Return the anchors [(matrix / stride)^2 * 3, 4] of one pyramid level as y1, x1, y2, x2 in pixels, read-only.

    Ordered by row, column and aspect. They have the area of the level's square and sit at the centres of its stride's
    cells.
    """
    stride = ANCHOR_STRIDES_PX[level]
    centres = (np.arange(matrix // stride) + 0.5) * stride
    y, x = (grid[..., None] for grid in np.meshgrid(centres, centres, indexing="ij"))
    half = 0.5 * ANCHOR_SIZES_PX[level] * np.sqrt(np.asarray(ANCHOR_ASPECTS))
    half_width = 0.25 * ANCHOR_SIZES_PX[level] ** 2 / half
    boxes = np.stack(np.broadcast_arrays(y - half, x - half_width, y + half, x + half_width), axis=-1)
    anchors = boxes.reshape(-1, 4).astype(np.float32)
    anchors.flags.writeable = False  # every caller gets the same array
    return anchors


@cache
def anchor_boxes(matrix: int) -> NDArray[np.float32]:
    """Return all anchors [A, 4] of a `matrix` x `matrix` grid, finest level first, read-only."""
    anchors = np.concatenate([level_anchors(matrix, level) for level in range(len(ANCHOR_SIZES_PX))])
    anchors.flags.writeable = False
    return anchors
