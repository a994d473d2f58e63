# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a mask head costs at a mask resolution, from the layer sizes of `training/network/heads.py`."""

from __future__ import annotations

from appliance.reading.contract import MAX_DETECTIONS, TYPES
from training.network.variants import Variant


def mask_head_gflop(variant: Variant, mask_size: int) -> float:
    """Return the GFLOP (a multiplication and an addition are two) of the masks of one chunk.

    Two 3 x 3 convolutions at half the mask's resolution, a 2 x 2 transposed convolution of stride 2 (one tap an output
    pixel) and the 1 x 1 convolution to the types, for `MAX_DETECTIONS` boxes: the graph is static, padding costs too.
    """
    coarse, fine = (mask_size // 2) ** 2, mask_size**2
    width = variant.mask
    multiplications = (
        coarse * 9 * variant.pyramid * width
        + coarse * 9 * width * width
        + fine * width * width
        + fine * width * len(TYPES)
    )
    return 2e-9 * multiplications * MAX_DETECTIONS
