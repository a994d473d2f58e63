# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How much blood a positive head holds where nobody asks: by type, in the size classes of the paper's Table 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis
from simulator.population import BleedSizes
from simulator.sizes import TEST_COHORT, Table, volume_ml

WIDE: Final[Table] = {
    Diagnosis.IPH: {SizeClass.LARGE: 26, SizeClass.MEDIUM: 28, SizeClass.SMALL: 34, SizeClass.PUNCTATE: 12},
    Diagnosis.EDH_SDH: {SizeClass.LARGE: 28, SizeClass.MEDIUM: 32, SizeClass.SMALL: 36, SizeClass.PUNCTATE: 4},
    Diagnosis.SAH: {SizeClass.LARGE: 24, SizeClass.MEDIUM: 26, SizeClass.SMALL: 38, SizeClass.PUNCTATE: 12},
}
"""Shares (%) for training: what is hard to find is seen often enough to be learnt."""


def draw_volume_ml(rng: np.random.Generator, diagnosis: Diagnosis, sizes: BleedSizes = BleedSizes.PAPER) -> float:
    """Return a volume (mL) of a type: the shares of the sizes are the population's, volumes within them the paper's."""
    table = (TEST_COHORT if sizes is BleedSizes.PAPER else WIDE)[diagnosis]
    counts = np.array(list(table.values()), float)
    size = list(table)[int(rng.choice(len(counts), p=counts / counts.sum()))]
    return volume_ml(diagnosis, size, float(rng.random()))
