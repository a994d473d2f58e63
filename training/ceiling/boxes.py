# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a mask should say, in numpy, so that the ceiling needs no TensorFlow.

Training takes its targets with `training/network/roi_align.py`; a test in the training environment holds the two
together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def cells(plane: NDArray[np.float32], box: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Return what a mask should say: `plane` [H, W] at the centres of `size` x `size` cells filling `box`, bilinear.

    One sample a cell, as the network reads its features and as training makes its targets.
    """
    cell = (np.arange(size, dtype=np.float32) + np.float32(0.5)) / np.float32(size)

    def samples(low: np.float32, high: np.float32, extent: int) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
        position = np.clip(low + (high - low) * cell - np.float32(0.5), 0.0, extent - 1.0)
        floor = np.minimum(np.floor(position), extent - 2.0)
        return floor.astype(np.intp), (position - floor).astype(np.float32)

    top, down = samples(box[0], box[2], plane.shape[0])
    left, across = samples(box[1], box[3], plane.shape[1])
    rows = plane[top] * (1 - down[:, None]) + plane[top + 1] * down[:, None]
    return np.asarray(rows[:, left] * (1 - across) + rows[:, left + 1] * across, np.float32)
