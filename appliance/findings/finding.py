# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The answer about one study: whether there is a hemorrhage, how sure that is, and the lesions in 3-D. Types only;
`find` computes them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType, SizeClass
from appliance.reading.detections import Detection
from appliance.reading.lesions import Criteria

LesionMap = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Lesion:
    """One lesion: pieces of one type within 10 mm of each other, at least one of them from a detection at the
    threshold.

    `number` counts from 1 by falling volume and is the voxel value in `Finding.lesion_map`; `slices` are the Z indices
    that it touches, `voxels` its number of voxels on each of them; `confidence` is the highest class score among its
    detections; `abc2_ml` is ABC/2 for IPH, else None.
    """

    number: int
    type: HemorrhageType
    volume_ml: float
    abc2_ml: float | None
    size_class: SizeClass
    confidence: float
    slices: tuple[int, ...]
    voxels: tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """The study's answer.

    `present`: any detection on any slice reaches the threshold (paper, "Statistical Analysis"); `probability`: the
    highest class score of any detection (0.0 when there is none); `counted`: the detections that count, those at the
    threshold first, then those that extend a lesion; `lesion_map`: [Z, Y, X] on the volume's grid, in the contract's
    orientation, 0 or a lesion's number; bytes, unless there are more than 255 lesions.
    """

    present: bool
    probability: float
    criteria: Criteria
    counted: tuple[Detection, ...]
    lesions: tuple[Lesion, ...]
    lesion_map: LesionMap
