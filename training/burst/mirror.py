# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A batch mirrored left to right, with its targets: what a device learns from while no new batch is ready.

A batch that is learnt from twice costs the processor once ("data echoing", Choi et al., arXiv 1907.05550, 2019), and
half of all crops are mirrored anyway (`batches.random_view`).
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.reading.anchors import PER_CELL
from appliance.reading.contract import ANCHOR_STRIDES_PX
from training.batches import Batch


@cache
def mirrored_anchors(size: int) -> NDArray[np.intp]:
    """Return for each anchor [A] of a grid `size` pixels wide the index of its mirror image."""
    parts, first = [], 0
    for stride in ANCHOR_STRIDES_PX:
        cells = size // stride
        count = cells * cells * PER_CELL
        parts.append(first + np.arange(count).reshape(cells, cells, PER_CELL)[:, ::-1].ravel())
        first += count
    return np.concatenate(parts)


def mirror(drawn: Batch) -> Batch:
    """Return a batch with left and right swapped; its arrays may be numpy's or a device's."""
    size = drawn.labels.shape[2]
    anchors = mirrored_anchors(size)
    labels = drawn.anchor_labels[:, anchors]
    return Batch(
        slices=drawn.slices[:, :, ::-1],
        labels=drawn.labels[:, :, ::-1],
        boxes=_mirror_boxes(drawn.boxes, drawn.kinds > 0, size),
        kinds=drawn.kinds,
        anchor_labels=labels,
        anchor_boxes=_mirror_boxes(drawn.anchor_boxes[:, anchors], labels > 0, size),
        mimic_boxes=_mirror_boxes(drawn.mimic_boxes, drawn.mimic_kinds > 0, size),
        mimic_kinds=drawn.mimic_kinds,
    )


def _mirror_boxes(boxes: Any, there: Any, size: int) -> Any:
    """Return boxes [..., 4] mirrored in a slice `size` pixels wide; those that are not `there` [...] stay zeros."""
    signs, moved = np.array([1, -1, 1, -1], np.float32), np.array([0, size, 0, size], np.float32)
    return boxes[..., np.array([0, 3, 2, 1])] * signs + there[..., None] * moved
