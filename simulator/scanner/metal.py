# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Stars about metal: bright and dark rays from each piece, as clips, coils and fillings make them.

Rays through metal arrive starved and hardened; what they miss is smeared along them (De Man et al., IEEE Trans Nucl Sci
1999). Here each piece gets a star whose rays alternate at random and fade with the distance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.view import View

Field = NDArray[np.float32]

RAYS = 720
NEAR_PX = 6.0  # within this the star does not grow any more
PIECES = 4  # the largest of a slice that get a star
PIECE_PX = 20.0  # the area of a piece whose star has the stated strength


def stars(rng: np.random.Generator, metal: Field, view: View, size: tuple[int, int]) -> Field | None:
    """Return the stars of one slice in a view, relative to the scanner's `metal_hu`; None where there is no metal.

    Parameters
    ----------
    metal: y, x and area, in pixels of the slice, of each piece, [N, 3].
    """
    if not len(metal):
        return None
    corner, steps = view.corner(size), view.steps
    rows, columns = (np.arange(n, dtype=np.float32) for n in size)
    y, x = (
        np.float32(corner[axis]) + np.float32(steps[axis, 0]) * rows[:, None] + np.float32(steps[axis, 1]) * columns
        for axis in (0, 1)
    )
    out = np.zeros(size, np.float32)
    for middle_y, middle_x, area in metal[np.argsort(-metal[:, 2], kind="stable")[:PIECES]]:
        broad, fine = rng.standard_normal(RAYS // 24, np.float32), rng.standard_normal(RAYS, np.float32)
        around = np.interp(np.arange(RAYS) / 24, np.arange(len(broad) + 1), np.append(broad, broad[0]))
        fine = 0.5 * fine + 0.25 * (np.roll(fine, 1) + np.roll(fine, -1))
        line = (np.sign(around) * around**2 + 0.5 * fine - 0.3).astype(np.float32)
        dy, dx = y - middle_y, x - middle_x
        at = ((np.arctan2(dy, dx) + np.float32(np.pi)) * np.float32(RAYS / (2 * np.pi))).astype(np.int32)
        strength = np.float32(min(3.0, np.sqrt(area / PIECE_PX)))
        near = np.float32(NEAR_PX) / np.maximum(np.hypot(dy, dx), np.float32(NEAR_PX))
        out += np.take(line, at, mode="wrap") * strength * near ** np.float32(1.3)
    return out
