# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How much blood a positive head holds where nobody asks: by type, in the size classes of the paper's Table 1."""

from __future__ import annotations

from typing import Final

import numpy as np

from training.simulator.finding import Finding
from training.simulator.population import BleedSizes
from training.simulator.sizes import TEST_COHORT, Size, Table, volume_ml

WIDE: Final[Table] = {
    Finding.IPH: {Size.LARGE: 26, Size.MEDIUM: 28, Size.SMALL: 34, Size.PUNCTATE: 12},
    Finding.EDH_SDH: {Size.LARGE: 28, Size.MEDIUM: 32, Size.SMALL: 36, Size.PUNCTATE: 4},
    Finding.SAH: {Size.LARGE: 24, Size.MEDIUM: 26, Size.SMALL: 38, Size.PUNCTATE: 12},
}
"""Shares (%) for training: what is hard to find is seen often enough to be learnt."""


def drawn_volume_ml(rng: np.random.Generator, finding: Finding, sizes: BleedSizes = BleedSizes.PAPER) -> float:
    """Return a volume (mL) of a type: the shares of the sizes are the population's, volumes within them the paper's."""
    table = (TEST_COHORT if sizes is BleedSizes.PAPER else WIDE)[finding]
    counts = np.array(list(table.values()), float)
    size = list(table)[int(rng.choice(len(counts), p=counts / counts.sum()))]
    return volume_ml(finding, size, float(rng.random()))
