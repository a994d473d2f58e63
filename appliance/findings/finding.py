# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The answer about one study: is there a hemorrhage, how sure, and the lesions in 3-D. Types only; how they are
found stands in the sibling modules."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from appliance.contract import HemorrhageType

LesionMap = NDArray[np.uint8] | NDArray[np.uint16]


class SizeClass(StrEnum):
    """The paper's size classes (Table 1); the lower edge belongs to the class."""

    PUNCTATE = "punctate"  # < 0.01 mL
    SMALL = "small"  # 0.01 - 5 mL
    MEDIUM = "medium"  # 5 - 25 mL
    LARGE = "large"  # >= 25 mL

    @classmethod
    def of(cls, volume_ml: float) -> SizeClass:
        """Return the class of a volume in mL."""
        if volume_ml < 0.01:
            return cls.PUNCTATE
        if volume_ml < 5:
            return cls.SMALL
        return cls.MEDIUM if volume_ml < 25 else cls.LARGE


@dataclass(frozen=True)
class Lesion:
    """One lesion: pieces of one type within 10 mm of each other.

    `number` counts from 1 by falling volume and is the voxel value in `Finding.lesion_map`; `slices` are the Z indices
    it touches; `confidence` is the highest class score among its detections; `abc2_ml` is ABC/2 for IPH, else None.
    """

    number: int
    type: HemorrhageType
    volume_ml: float
    abc2_ml: float | None
    size_class: SizeClass
    confidence: float
    slices: tuple[int, ...]


@dataclass(frozen=True)
class Finding:
    """The study's answer.

    `present`: any detection on any slice reaches the threshold (paper, "Statistical Analysis"); `probability`: the
    highest class score of any detection (0.0 when there is none); `lesion_map`: [Z, Y, X] on the volume's grid, in the
    contract's orientation, 0 or a lesion's number; bytes, unless there are more than 255 lesions.
    """

    present: bool
    probability: float
    threshold: float
    lesions: tuple[Lesion, ...]
    lesion_map: LesionMap
