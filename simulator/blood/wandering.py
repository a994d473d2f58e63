# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out shapes of blood in CSF: red cells that wander at random through sulci, cisterns or ventricles.

Thousands of walkers start at the source and step from cell to cell of the CSF. Blood is where they come by often: it
follows the spaces instead of the distance through brain, skips dead ends and thins out along the way.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.blood.form import Bleed, Form
from simulator.blood.subarachnoid import box_lines, draw_sulcus, sources
from simulator.fields import Taps, spread

Field = NDArray[np.float32]

_CELL = 2  # voxels
_LEAST_ROOM = 0.12  # CSF in a cell that walkers pass
_WALKERS = 3000
_MM_PER_E = 6.0  # how many mm of way it is to cells visited e times less often
_UNVISITED_MM = 130.0


def in_csf(anatomy: Anatomy, room: Field, bleed: Bleed, rng: np.random.Generator) -> Field:
    """Return how late (about mm) blood comes to each voxel [Z, Y, X] of the cavity box."""
    if bleed.form is Form.SULCAL:
        starts = np.array([draw_sulcus(anatomy, room, bleed, rng)])
    else:
        lines = [line.ravel() for line in box_lines(anatomy)]
        reach = 12.0 if bleed.form is Form.PERIMESENCEPHALIC else 20.0
        starts = np.array(
            [
                [int(np.argmin(np.abs(line - p))) for line, p in zip(lines, (cz, cy, s * cx), strict=True)]
                for cz, cy, cx, start in sources(bleed)
                for s in (-1.0, 1.0)
                if start <= reach * rng.random()
            ]
        )
    return _way(room, starts, 40 + int(45 * bleed.volume_ml), rng)


def in_ventricles(
    anatomy: Anatomy, reached: NDArray[np.bool_], bleed: Bleed, rng: np.random.Generator
) -> tuple[Field, float]:
    """Return how late (about mm) blood comes to the voxels of `reached`, and the width of its edge, mm."""
    side = np.flatnonzero((reached & (np.float32(bleed.side) * anatomy.falx > 2)).ravel())
    if not side.size:
        side = np.flatnonzero(reached.ravel())
    start = np.array([np.unravel_index(int(side[rng.integers(side.size)]), reached.shape)])
    way = _way(reached.astype(np.float32), start, 60 + int(60 * bleed.volume_ml), rng)
    return way[reached], float(rng.uniform(2, 8))


def _way(room: Field, starts: NDArray[np.integer], steps: int, rng: np.random.Generator) -> Field:
    """Return the way (about mm) that walkers from `starts` [n, 3] make to each voxel [Z, Y, X] of `room`."""
    padded = np.pad(room, [(0, -n % _CELL) for n in room.shape])
    cells = padded.reshape([v for n in padded.shape for v in (n // _CELL, _CELL)]).mean(axis=(1, 3, 5))
    open_cells = cells > _LEAST_ROOM
    number = np.full([n + 2 for n in cells.shape], -1)
    number[1:-1, 1:-1, 1:-1][open_cells] = np.arange(int(open_cells.sum()))
    own = number[number >= 0]
    places = np.argwhere(open_cells)
    neighbours = np.empty((own.size, 6), np.intp)
    for i, (axis, way) in enumerate((a, w) for a in range(3) for w in (-1, 1)):
        beside = places + 1
        beside[:, axis] += way
        there = number[tuple(beside.T)]
        neighbours[:, i] = np.where(there >= 0, there, own)  # a wall: the walker stays
    first = [int(np.argmin(((places - start // _CELL) ** 2).sum(1))) for start in starts]
    at = np.asarray(first)[rng.integers(len(first), size=_WALKERS)]
    visits = np.bincount(at, minlength=own.size)
    for _ in range(steps):
        at = neighbours[at, rng.integers(6, size=_WALKERS)]
        visits += np.bincount(at, minlength=own.size)
    often = np.zeros(cells.shape, np.float32)
    often[open_cells] = visits
    # Walkers are few: what they carry is spread over neighbouring cells of the CSF.
    spread_out = ndimage.gaussian_filter(often, 0.8) / np.maximum(
        ndimage.gaussian_filter(open_cells.astype(np.float32), 0.8), np.float32(0.05)
    )
    relative = np.maximum(spread_out / spread_out.max(), np.float32(1e-9))
    way = np.minimum(-np.float32(_MM_PER_E) * np.log(relative), np.float32(_UNVISITED_MM))
    taps = tuple(Taps.linear((np.arange(n) - 0.5) / _CELL, m) for n, m in zip(room.shape, way.shape, strict=True))
    return spread(np.asarray(way, np.float32), taps)
