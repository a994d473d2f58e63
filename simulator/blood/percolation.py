# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Held-out shapes of parenchymal blood: first-passage percolation, blood that finds its way through uneven tissue.

Every voxel resists by chance and by what it is: white matter parts along its fibres, grey matter holds, CSF and dura
hold more. Blood is wherever it arrives early. Its edge is that of a growing front (Hammersley & Welsh, 1965), lobed,
with inlets and islands, instead of an ellipsoid's with smooth noise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from simulator.anatomy import Anatomy, Box
from simulator.blood.form import Bleed, Form
from simulator.fields import Taps, smooth_field, spread

Field = NDArray[np.float32]

_FINE_UP_TO = 44  # voxels: a larger box is percolated on every second voxel
_NEVER = 400.0


def arrival(anatomy: Anatomy, bleed: Bleed, box: Box, centre: tuple[int, int, int], rng: np.random.Generator) -> Field:
    """Return when blood arrives at each voxel [Z, Y, X] of the box, in units of a mm of easy tissue."""
    shape = tuple(s.stop - s.start for s in box)
    step = 1 if max(shape) <= _FINE_UP_TO else 2
    coarse = (slice(None, None, step),) * 3
    resistance = _resistance(anatomy, bleed, box, centre, rng)[coarse] * np.float32(step)
    start = tuple((c - s.start) // step for c, s in zip(centre, box, strict=True))
    times = _first_passage(resistance, start)
    taps = tuple(Taps.linear(np.arange(n) / step, m) for n, m in zip(shape, times.shape, strict=True))
    return spread(times, taps) if step > 1 else times


def _resistance(
    anatomy: Anatomy, bleed: Bleed, box: Box, centre: tuple[int, int, int], rng: np.random.Generator
) -> Field:
    """Return how long blood needs for a mm of each voxel [Z, Y, X] of the box."""
    atlas = anatomy.atlas
    grey, white, ventricle = anatomy.in_grid(anatomy.fractions, box)
    shape = grey.shape
    uneven = float(rng.uniform(0.5, 0.9))
    out = np.exp(
        np.float32(uneven) * smooth_field(rng, shape, float(rng.uniform(2.5, 6)))
        + np.float32(0.5 * uneven) * rng.standard_normal(shape, np.float32)
    )
    holds = float(rng.uniform(1.5, 3.0)) if bleed.form is not Form.CONTUSION else 0.8
    out *= white + np.float32(holds) * grey + 8 * np.clip(1 - white - grey - ventricle, 0, 1)
    out += np.float32(0.2 if bleed.ruptured else 20) * ventricle
    out += 30 * np.clip(1 + atlas.cavity_distance[box], 0, 4)
    if bleed.form is not Form.BRAINSTEM:
        across = np.float32(np.sign(atlas.tentorium_distance[centre]))
        out += 10 * np.clip(1.5 - across * atlas.tentorium_distance[box], 0, 4)
        if bleed.form is not Form.CEREBELLAR:
            side = np.float32(np.sign(atlas.falx_distance[centre]))
            out += 10 * np.clip(1.5 - side * anatomy.in_grid([anatomy.falx], box)[0], 0, 4)
    return np.asarray(out, np.float32)


def _first_passage(resistance: Field, start: tuple[int, ...]) -> Field:
    """Return the least sum of resistances along any way of face neighbours from `start` to each voxel."""
    shape = resistance.shape
    index = np.arange(resistance.size).reshape(shape)
    pairs, costs = [], []
    for axis in range(3):
        near = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        far = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        pairs.append((index[near].ravel(), index[far].ravel()))
        costs.append((0.5 * (resistance[near] + resistance[far])).ravel())
    rows, columns = (np.concatenate(part) for part in zip(*pairs, strict=True))
    graph = sparse.csr_array((np.concatenate(costs).astype(np.float64), (rows, columns)), shape=(index.size,) * 2)
    first = int(np.ravel_multi_index(start, shape))
    times = sparse.csgraph.dijkstra(graph, directed=False, indices=first, limit=_NEVER)
    return np.asarray(np.minimum(times, _NEVER).reshape(shape), np.float32)
