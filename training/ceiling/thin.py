# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood that is hardest on a mask, drawn by formula: long thin crescents, and winding strands.

Means over heads hide it, because most blood is thick. A pixel is about half a millimetre.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import MATRIX, HemorrhageType

THICKNESSES_PX: Final = (3, 5, 8)


def crescent(thickness_px: float) -> NDArray[np.uint8]:
    """Return labels [1, 512, 512] of a subdural over a whole hemisphere, 396 px long and 165 px deep."""
    y, x = np.ogrid[:MATRIX, :MATRIX]
    away = np.hypot((y - 256) / 1.2, x - 256)
    blood = (away < 165) & (away > 165 - thickness_px) & (x < 256)
    return np.asarray(blood[None] * HemorrhageType.EDH_SDH.label, np.uint8)


def strands(thickness_px: float) -> NDArray[np.uint8]:
    """Return labels [1, 512, 512] of seven winding strands 280 px long and 40 px apart, as of blood in sulci."""
    y, x = np.ogrid[:MATRIX, :MATRIX]
    blood = np.zeros((MATRIX, MATRIX), bool)
    for row in range(120, 400, 40):
        blood |= (abs(y - row - 12 * np.sin(x / 9)) < thickness_px / 2) & (abs(x - 256) < 140)
    return np.asarray(blood[None] * HemorrhageType.SAH.label, np.uint8)


SHAPES: Final = {"crescent": crescent, "strands": strands}
