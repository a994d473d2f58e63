# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A head that moves while a slice is taken: two positions at once, and streaks from where its edges were.

The views at the end of a rotation do not fit those at its beginning. What is left over lies along the rays of these
views, and is large for the rays that graze an edge of high contrast: the tables of the skull (Barrett & Keat,
RadioGraphics 2004). So streaks run tangentially to the skull and hardly through the middle of the brain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.scanner.streaks import along
from simulator.view import View, cut

Field = NDArray[np.float32]

MOVED_SHARE = 0.35  # of the slices of a scan with motion
HEAD_MM = 80.0  # half a head: what turns by an angle moves by that much
STREAK_HU_PER_MM = 1.2
STREAK_STEP_PX = 3.0
GRAZED, GRAZED_WIDTH = 0.87, 0.09  # where rays graze the skull, and how far about it; relative to half the head
ELSEWHERE = 0.06  # what streaks have of their strength where rays meet nothing that moves across them
BEYOND_PX = 24


@dataclass(frozen=True)
class Motion:
    """How the head moves during one slice.

    Attributes
    ----------
    share: of the slice that is taken in the other position.
    angle: the turn, radians.
    shift_mm: (y, x).
    streaks: noise [2, n] of the streaks along two directions, and the directions.
    """

    share: float
    angle: float
    shift_mm: tuple[float, float]
    streaks: Field
    directions: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator, motion_mm: float) -> Motion | None:
        """Return the motion during a slice, or None where the head lay still."""
        moves = rng.random() < MOVED_SHARE
        towards, theta = rng.uniform(0, 2 * np.pi, 2)
        share, turned = rng.uniform(0.25, 0.5), rng.uniform(-1, 1)
        lines = rng.standard_normal((2, 257), np.float32)
        lines = (lines[:, 1:] + lines[:, :-1]) * np.float32(0.7 * STREAK_HU_PER_MM * motion_mm)
        lines *= np.abs(rng.standard_normal(lines.shape, np.float32))  # few strong ones: edges are few
        if not moves:
            return None
        shift = (float(np.sin(towards) * motion_mm * 0.5), float(np.cos(towards) * motion_mm * 0.5))
        directions = (float(theta), float(theta + rng.uniform(0.1, 0.4)))
        return cls(float(share), float(turned * motion_mm / HEAD_MM), shift, lines, directions)

    def blend(self, plane: Field, pixel_mm: float) -> Field:
        """Return a noise-free plane [Y, X] as seen in both positions."""
        held = np.pad(plane, BEYOND_PX, mode="edge")
        middle = View.whole((plane.shape[0], plane.shape[1])).centre
        away = View((middle[0] + self.shift_mm[0] / pixel_mm, middle[1] + self.shift_mm[1] / pixel_mm), self.angle)
        other = cut(held[None], away, (plane.shape[0], plane.shape[1]), corner=(-BEYOND_PX, -BEYOND_PX))[0]
        return np.asarray(plane + np.float32(self.share) * (other - plane), np.float32)

    def draw_streaks(self, view: View, size: tuple[int, int], middle: tuple[float, float], body: Field) -> Field:
        """Return the streaks HU of a view of the slice; `body` is what `Rays.body` says of the slice."""
        first, second = (
            along(line * grazing(len(line), theta, middle, body), theta, view, size, middle, STREAK_STEP_PX)
            for line, theta in zip(self.streaks, self.directions, strict=True)
        )
        return first + second


def grazing(count: int, theta: float, middle: tuple[float, float], body: Field) -> Field:
    """Return how strong the streaks of each of `count` rays along a direction are: most where they graze the skull.

    Parameters
    ----------
    theta: rays run along (y, x) = (sin, cos) of it; they lie `STREAK_STEP_PX` apart, the middle one through `middle`.
    body: middle (y, x) and half height and width of the head, pixels.
    """
    cos, sin = float(np.cos(theta)), float(np.sin(theta))
    off = cos * (float(body[0]) - middle[0]) - sin * (float(body[1]) - middle[1])
    half = max(float(np.hypot(cos * body[2], sin * body[3])), 1.0)
    at = np.abs((np.arange(count) - (count - 1) / 2) * STREAK_STEP_PX - off) / half
    near = np.exp(-0.5 * ((at - GRAZED) / GRAZED_WIDTH) ** 2)
    return np.asarray(ELSEWHERE + (1 - ELSEWHERE) * near, np.float32)
