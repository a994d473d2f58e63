# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How the brain gives way to blood: mass effect that is smooth between bleed and skull, and midline shift."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy, Box
from simulator.landmarks import smoothstep
from simulator.warp import at_warp_nodes

Field = NDArray[np.float32]


def relax(push: Field, given: NDArray[np.bool_], free: NDArray[np.bool_]) -> Field:
    """Return a push that is as given where it is given, nothing outside the brain, and smooth (harmonic) between.

    A pressed brain gives way everywhere a little, most beside the bleed and not at all at the skull.

    Parameters
    ----------
    push: float32 [3, z, y, x] on the inner warp's grid, mm.
    given: bool [z, y, x], where `push` holds.
    free: bool [z, y, x], the brain.
    """
    moving = free & ~given
    out = np.where(given, push, 0).astype(np.float32)
    for step, rounds in ((4, 30), (2, 40), (1, 25)):
        coarse = out[:, ::step, ::step, ::step].copy()
        where = moving[::step, ::step, ::step]
        fixed = coarse[:, ~where]
        for _ in range(rounds):
            mean = np.zeros_like(coarse)
            for axis in (1, 2, 3):
                mean += np.roll(coarse, 1, axis) + np.roll(coarse, -1, axis)
            coarse = mean * np.float32(1 / 6)
            coarse[:, ~where] = fixed
        finer = _on_grid(coarse, step, out.shape[1:]) if step > 1 else coarse
        out[:, moving] = finer[:, moving]
    return out


def _on_grid(coarse: Field, step: int, shape: tuple[int, ...]) -> Field:
    """Return values kept at every `step`-th node at all nodes of a grid, linear between."""
    grid = np.meshgrid(*(np.arange(n, dtype=np.float32) / step for n in shape), indexing="ij")
    return np.stack([ndimage.map_coordinates(part, grid, order=1, mode="nearest") for part in coarse])


def lean_away(
    push: Field, anatomy: Anatomy, box: Box, fraction: Field, shift_mm: float, given: NDArray[np.bool_]
) -> Field:
    """Return the push with the whole brain around the bleed leaning away from its side: midline shift.

    Parameters
    ----------
    shift_mm: how far the midline moves level with the bleed.
    given: bool [z, y, x] on the warp's grid, where the push stays as it is.
    """
    atlas = anatomy.atlas
    weight = float(fraction.sum())
    if weight == 0 or shift_mm <= 0:
        return push
    z, y, x = (
        float((fraction.sum(axis=tuple(a for a in range(3) if a != axis)) @ np.arange(s.start, s.stop)) / weight)
        for axis, s in enumerate(box)
    )
    mni_z, mni_y, _ = (at_warp_nodes(np.broadcast_to(part, atlas.shape).astype(np.float32)) for part in atlas.mni())
    depth = -at_warp_nodes(np.asarray(atlas.cavity_distance))
    origin = atlas.origin_mni
    near = np.exp(-0.5 * (((mni_z - origin[0] - z) / 35) ** 2 + ((mni_y - origin[1] + y) / 45) ** 2))
    above = smoothstep((at_warp_nodes(np.asarray(atlas.tentorium_distance)) + 4) / 12)
    side = 1.0 if x < origin[2] else -1.0  # blood at a low index leans the brain to high ones
    lean = np.float32(shift_mm) * near * above * smoothstep(depth / 45) * ~given
    out = push.copy()
    out[2] -= np.float32(side) * ndimage.gaussian_filter(lean, 1.0)
    return out
