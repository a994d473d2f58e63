# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Streaks: noise that starved rays leave along their way, which shows where many of them cross.

A tomogram has about a thousand views, and here a few angles stand for them: each alone would draw a hatching over the
whole slice, as no scan shows it. So streaks are kept to where the variance of all angles together is high, which is
between the petrous bones and at the skull base (Barrett & Keat, RadioGraphics 2004).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.landmarks import smoothstep
from simulator.scanner.rays import CELL_PX
from simulator.view import View

Field = NDArray[np.float32]

FINE = 6  # streaks are known at this many places a cell
FAINT = 0.1  # streaks below this strength (relative to the noise of mid-brain) are left out
CROSS_FROM, CROSS_OVER = 0.8, 0.3  # relative noise at which streaks begin to show, and until they show fully
MOST = 8  # and all but this many of the strongest


def where_starved_rays_cross(noise: Field) -> Field:
    """Return how much of streaks is seen in each cell, 0 to 1, of `Rays.noise` [Z, y, x]."""
    return smoothstep((noise - CROSS_FROM) / CROSS_OVER)


def starved_streaks(
    rng: np.random.Generator, starved: Field, view: View, size: tuple[int, int], middle: tuple[float, float]
) -> Field | None:
    """Return the streaks of one slice in a view, relative to the noise of mid-brain, or None where there are none.

    Parameters
    ----------
    rng: draws the same number of values whatever is starved.
    starved: strength of each angle and distance from the slice's middle, [A, S].
    middle: of the slice, (y, x) in pixels.
    """
    angles, cells = starved.shape
    lines = _ramp_noise(rng, angles, cells * FINE)
    turns = rng.uniform(-0.5, 0.5, angles) * np.pi / angles
    coarse = (np.arange(cells * FINE) + 0.5) / FINE - 0.5
    out = None
    strongest = starved.max(1)
    for a in np.argsort(-strongest, kind="stable")[:MOST]:
        if strongest[a] < FAINT:
            break
        line = lines[a] * np.interp(coarse, np.arange(cells), starved[a]).astype(np.float32)
        theta = np.pi * a / angles + turns[a]
        laid = along(line, float(theta), view, size, middle, CELL_PX / FINE)
        out = laid if out is None else out + laid
    return out


def along(
    line: Field, theta: float, view: View, size: tuple[int, int], middle: tuple[float, float], step_px: float
) -> Field:
    """Return a view in which each pixel has the value of `line` [n] at its distance from the ray through the middle.

    Rays run along (y, x) = (sin, cos) of theta; the line's values lie `step_px` pixels of the slice apart.
    """
    across = np.array([np.cos(theta), -np.sin(theta)])
    first = (across * (view.corner(size) - middle)).sum() / step_px + (len(line) - 1) / 2
    rows, columns = ((across[:, None] * view.steps).sum(0) / step_px).astype(np.float32)
    at = (np.float32(first) + rows * np.arange(size[0], dtype=np.float32))[:, None] + (
        columns * np.arange(size[1], dtype=np.float32)
    )
    return np.asarray(np.take(line, at.astype(np.int32), mode="clip"), np.float32)


def _ramp_noise(rng: np.random.Generator, lines: int, length: int) -> Field:
    """Return noise [lines, length] of unit variance that is stronger at high frequencies, as a ramp filter makes it."""
    white = rng.standard_normal((lines, length + 2), np.float32)
    smooth = (white[:, :-1] + white[:, 1:]) * np.float32(0.5)
    ramped = smooth[:, :-1] - np.float32(0.5) * smooth[:, 1:]
    return np.asarray(ramped / np.float32(np.sqrt(0.375)), np.float32)
