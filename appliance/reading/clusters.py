# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which masks may be of one lesion, judged only by the blocks they fill.

Pieces of blood are searched for in one cluster at a time, which is a far smaller block than one with everything that a
detector sees in a head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from appliance.reading.masks import Patch
from appliance.reading.pieces import CoordinatesMm

AT_A_TIME: Final = 256
"""Patches that are compared with all others at a time: a long study may have thousands."""


def clusters(
    patches: Sequence[Patch],
    coordinates_mm: CoordinatesMm,
    join_mm: float,
) -> list[list[Patch]]:
    """Return the patches in groups, such that blood of two groups neither touches nor lies within `join_mm`.

    `coordinates_mm` are the places of the voxels along the normal [Z], and of rows [Z, Y] and columns [Z, X].
    """
    if not patches:
        return []
    along, rows, columns = coordinates_mm
    first, last = np.empty((2, len(patches), 3))
    low_mm, high_mm = np.empty((2, len(patches), 3))
    for index, one in enumerate(patches):
        z, y, x = one.window
        first[index], last[index] = (z, y.start, x.start), (z, y.stop - 1, x.stop - 1)
        low_mm[index] = along[z], rows[z, y.start], columns[z, x.start]
        high_mm[index] = along[z], rows[z, y.stop - 1], columns[z, x.stop - 1]
    low_mm, high_mm = np.minimum(low_mm, high_mm), np.maximum(low_mm, high_mm)
    near = np.empty((len(patches), len(patches)), bool)
    for start in range(0, len(patches), AT_A_TIME):
        some = slice(start, start + AT_A_TIME)
        touching = (_gaps(first[some], last[some], first, last) <= 1).all(axis=-1)
        gaps_mm = _gaps(low_mm[some], high_mm[some], low_mm, high_mm)
        near[some] = touching | ((gaps_mm**2).sum(axis=-1) <= join_mm**2)
    count, cluster_of = connected_components(coo_array(near), directed=False)
    return [[patches[int(index)] for index in np.flatnonzero(cluster_of == number)] for number in range(count)]


def _gaps(
    low: NDArray[np.float64], high: NDArray[np.float64], other_low: NDArray[np.float64], other_high: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how far each block lies from each other one [n, m, 3] along each axis, 0 where they overlap."""
    return np.maximum(0, np.maximum(low[:, None] - other_high[None], other_low[None] - high[:, None]))
