# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Memory that the drawers of batches share with the trainer: a batch of tens of MB is never pickled."""

from __future__ import annotations

import mmap
from multiprocessing.context import ForkContext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.reading.anchors import anchor_boxes
from appliance.reading.contract import CONTEXT_SLICES
from training.batches import Batch, Shape
from training.instances import MAX_PIECES


class Slots:
    """A fixed number of places for batches of one shape, in memory that forked processes share."""

    def __init__(self, shape: Shape, count: int, context: ForkContext):
        self.free: Any = context.Queue()
        self.filled: Any = context.Queue()
        self.batches = [_empty(shape) for _ in range(count)]
        for place in range(count):
            self.free.put(place)

    def fill(self, place: int, drawn: Batch) -> None:
        """Copy a batch to a place that was free, for the trainer to take."""
        for values, into in zip(vars(drawn).values(), self.batches[place], strict=True):
            into[...] = values
        self.filled.put(place)


def _empty(shape: Shape) -> list[NDArray[Any]]:
    """Return the arrays of one batch, in the order of `Batch`, in shared memory."""
    slices, size = shape.targets * shape.slabs, shape.size
    anchors = len(anchor_boxes(size))
    wanted: list[tuple[tuple[int, ...], type]] = [
        (((shape.targets + 2 * CONTEXT_SLICES) * shape.slabs, size, size, 1), np.int16),
        ((slices, size, size), np.uint8),
        ((slices, MAX_PIECES, 4), np.float32),
        ((slices, MAX_PIECES), np.int32),
        ((slices, anchors), np.int8),
        ((slices, anchors, 4), np.float32),
        ((slices, MAX_PIECES, 4), np.float32),
        ((slices, MAX_PIECES), np.int32),
    ]
    arrays: list[NDArray[Any]] = []
    for extent, dtype in wanted:
        memory = mmap.mmap(-1, int(np.prod(extent)) * np.dtype(dtype).itemsize)
        arrays.append(np.frombuffer(memory, dtype).reshape(extent))
    return arrays
