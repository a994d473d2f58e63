# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How large bleeds are: the paper's Table 1 (type by size, both cohorts), and volumes within a size.

Between the borders of the sizes the paper says no more than the quartiles of the test cohort (8.3, 24.9 and 35.6 mL).
Medium and large volumes meet them; small ones are spread evenly in diameter, as nothing is known of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis

Table = dict[Diagnosis, dict[SizeClass, int]]


def _table(iph: tuple[int, ...], edh_sdh: tuple[int, ...], sah: tuple[int, ...]) -> Table:
    """Return counts by type and size of three columns, large to punctate."""
    columns = {Diagnosis.IPH: iph, Diagnosis.EDH_SDH: edh_sdh, Diagnosis.SAH: sah}
    return {diagnosis: dict(zip(SizeClass, column, strict=True)) for diagnosis, column in columns.items()}


TEST_COHORT: Final = _table((13, 8, 1, 1), (19, 15, 4, 0), (9, 3, 6, 3))
"""Table 1, columns "Test": 82 positives of 682 studies."""
CROSS_VALIDATION_COHORT: Final = _table((192, 88, 63, 15), (188, 79, 49, 3), (85, 53, 52, 34))
"""Table 1, columns "Valid": 901 positives of 10,159 studies."""

TEST_QUARTILES_ML: Final = (8.3, 24.9, 35.6)
"""Quartiles of the test cohort's volumes (the paper's Results, first paragraph)."""

# Volume (mL) at shares of a size's bleeds, linear between in the logarithm, or in the diameter (below). The ends keep
# clear of the borders by the tolerance to which a bleed grows. A fifth of the medium ones lie below the first quartile,
# half of the large ones below the third.
_MEDIUM: Final = ((0.0, 0.21, 1.0), (5.5, 8.3, 23.0))
_LARGE: Final = ((0.0, 0.5, 1.0), (27.0, 35.6, 110.0))
_SMALL_ML: Final = (0.012, 4.5)
_PUNCTATE_ML: Final = (0.004, 0.009)
LARGEST_SAH_ML: Final = 60.0
"""More blood than this finds no room in the subarachnoid space."""


def volume_ml(diagnosis: Diagnosis, size: SizeClass, share: float) -> float:
    """Return the volume (mL, four digits) that `share` of the bleeds of a type and size do not reach."""
    if size is SizeClass.LARGE or size is SizeClass.MEDIUM:
        shares, volumes = _LARGE if size is SizeClass.LARGE else _MEDIUM
        value = float(np.exp(np.interp(share, shares, np.log(volumes))))
        value = min(value, LARGEST_SAH_ML) if diagnosis is Diagnosis.SAH else value
    else:
        low, high = np.cbrt(_SMALL_ML if size is SizeClass.SMALL else _PUNCTATE_ML)
        value = float((low + share * (high - low)) ** 3)
    return float(f"{value:.4g}")


def spread_shares(count: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return `count` shares between 0 and 1, one drawn in each of as many equal parts, in random order.

    A cohort of some dozens so has the quartiles that thousands would have.
    """
    return rng.permutation((np.arange(count) + rng.random(count)) / max(count, 1))
