# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Detections as a network would give them, made by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from appliance.reading import contract
from appliance.reading.detections import Box, Detection

SPACING_MM = (5.0, 0.45, 0.45)


def detection(z: int, box: Sequence[float], scores: Sequence[float], mask: np.ndarray | float = 1.0) -> Detection:
    """Return a detection on slice `z` with one mask value in every cell, or with a mask [56, 56]."""
    cells = np.broadcast_to(np.float32(mask), (contract.MASK_SIZE, contract.MASK_SIZE))
    iph, edh_sdh, sah = map(float, scores)
    return Detection(z, Box(*map(float, box)), (iph, edh_sdh, sah), np.asarray(cells))
