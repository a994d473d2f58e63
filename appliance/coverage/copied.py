# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Slices that show, value for value, what another slice shows.

Noise makes every slice of a scan its own. Where one picture stands at two positions, somebody wrote the pixels of one
image under the header of another, and what lies at one of the positions was not read.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.volume import Volume

_STEP = 4


def describe_copied(volume: Volume, shown: NDArray[np.bool_]) -> str:
    """Return how many slices show what another one shows, a sentence; "" where none does.

    `shown` says which slices of the volume show anything, bool [Z]: empty ones are alike.
    """
    first: dict[int, int] = {}
    copied = 0
    for z in np.flatnonzero(shown).tolist():
        other = first.setdefault(hash(volume.hu[z, ::_STEP, ::_STEP].tobytes()), z)
        copied += other != z and np.array_equal(volume.hu[z], volume.hu[other])
    if not copied:
        return ""
    what = "1 slice shows" if copied == 1 else f"{copied} slices show"
    return f"{what} exactly what another one shows: what lies in {'its' if copied == 1 else 'their'} place was not read"
