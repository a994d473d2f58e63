# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Readings that may withstand a perturbed study: a mirrored one beside the plain one, another network's, a filter.

None of them is shipped; `python -m benchmarks.accuracy perturb` measures what they bring and cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.inference.detections import Reading
from appliance.reading.boxes import overlaps
from appliance.reading.contract import MATRIX
from appliance.reading.detections import Box, Detection

Read = Callable[[NDArray[np.int16]], Reading]

SAME_OVERLAP: Final = 0.3
"""Of two readings' boxes on a slice, from which they are of one detection."""
DENOISED_PX: Final = 3


def mirrored_reading(read: Read, hu: NDArray[np.int16]) -> Reading:
    """Return the reading of hu [Z, 512, 512] with left and right swapped, its detections swapped back."""
    mirrored = read(np.ascontiguousarray(hu[:, :, ::-1]))
    back = [
        replace(
            one,
            box=Box(one.box.y1, MATRIX - one.box.x2, one.box.y2, MATRIX - one.box.x1),
            mask=one.mask[:, ::-1],
        )
        for one in mirrored.detections
    ]
    return replace(mirrored, detections=tuple(back))


def denoised(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return hu [Z, Y, X] with the median of each voxel's surroundings in its slice in place of it."""
    return np.stack([ndimage.median_filter(plane, DENOISED_PX) for plane in hu])


def mean_reading(first: Reading, second: Reading) -> Reading:
    """Return what two readings of the same slices say together: scores are means, of one reading alone halved.

    Box and mask are those of the first that has the detection.
    """
    merged: list[Detection] = []
    for z in sorted({one.slice_index for one in (*first.detections, *second.detections)}):
        mine, others = ([one for one in each.detections if one.slice_index == z] for each in (first, second))
        taken: set[int] = set()
        shared = overlaps(_boxes(mine), _boxes(others))
        for one, row in zip(mine, shared, strict=True):
            partner = int(row.argmax()) if len(row) and row.max() >= SAME_OVERLAP else None
            taken |= set() if partner is None else {partner}
            merged.append(_with_mean(one, None if partner is None else others[partner]))
        merged += [_with_mean(one, None) for i, one in enumerate(others) if i not in taken]
    return replace(first, detections=tuple(merged))


def _boxes(detections: Sequence[Detection]) -> NDArray[np.float32]:
    """Return the boxes [N, 4] of detections."""
    boxes = [(one.box.y1, one.box.x1, one.box.y2, one.box.x2) for one in detections]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _with_mean(one: Detection, other: Detection | None) -> Detection:
    """Return a detection with the mean of its scores and another's, which are 0 where there is none."""
    beside = (0.0, 0.0, 0.0) if other is None else other.scores
    a, b, c = ((x + y) / 2 for x, y in zip(one.scores, beside, strict=True))
    return replace(one, scores=(a, b, c))
