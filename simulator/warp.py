# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How one head's brain differs from its atlas's inside the same skull: gyri, ventricles, each side its own way."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import Atlas
from simulator.build import Build
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep

Field = NDArray[np.float32]

WARP_GRID_MM = 4  # the inner warp is kept on this grid


def warp_shape(atlas: Atlas) -> tuple[int, int, int]:
    """Return the size of the inner warp's grid."""
    z, y, x = (int(np.ceil((n - 1) / WARP_GRID_MM)) + 1 for n in atlas.shape)
    return z, y, x


def at_warp_nodes(volume: Field) -> Field:
    """Return an atlas volume at the nodes of the inner warp (its end nodes repeat the last voxel)."""
    index = [
        np.minimum(np.arange(int(np.ceil((n - 1) / WARP_GRID_MM)) + 1) * WARP_GRID_MM, n - 1) for n in volume.shape
    ]
    return np.asarray(volume[np.ix_(*index)], np.float32)


def draw_warp(rng: np.random.Generator, atlas: Atlas, build: Build) -> Field:
    """Return a warp that shapes gyri and widens ventricles, still at the inner table.

    Returns
    -------
    float32 [3, z, y, x] on `WARP_GRID_MM`: where the tissue seen at a place of the cavity comes from, mm to add to the
    atlas indices z, y, x.
    """
    shape = warp_shape(atlas)
    depth = -at_warp_nodes(np.asarray(atlas.cavity_distance))
    loose = smoothstep(depth / 14)
    amplitude = rng.uniform(1.5, 3.8)
    warp = np.stack([smooth_field(rng, shape, 4.0) * np.float32(amplitude) for _ in range(3)])
    warp += np.stack([smooth_field(rng, shape, 2.0) * np.float32(0.8) for _ in range(3)])
    # What shapes gyri would bend the ventricles, whose walls are smooth: they move as a whole.
    off_ventricle = smoothstep((at_warp_nodes(np.asarray(atlas.ventricle_distance)) - 2) / 16)
    warp *= np.float32(0.2) + np.float32(0.8) * off_ventricle
    # The falx holds the midline straight, but for the lobe that reaches across behind.
    falx = at_warp_nodes(np.asarray(atlas.falx_distance))
    warp[2] *= 0.15 + 0.85 * smoothstep(np.abs(falx) / 20)
    mni_z, mni_y, _ = (at_warp_nodes(np.broadcast_to(part, atlas.shape).astype(np.float32)) for part in atlas.mni())
    warp[2] += np.float32(build.torque_mm) * smoothstep((-30 - mni_y) / 40) * smoothstep((mni_z + 20) / 30)
    warp *= loose
    # Ventricles: their walls move out by `widening` mm, what is further moves less; the sides differ.
    distance = ndimage.gaussian_filter(at_warp_nodes(np.asarray(atlas.ventricle_distance)), 0.8)
    slope = np.stack(np.gradient(distance, WARP_GRID_MM)).astype(np.float32)
    slope /= np.maximum(np.sqrt((slope**2).sum(0)), 0.3)
    right, left = (np.float32(widening) for widening in build.ventricles)
    widening = left + (right - left) * smoothstep(falx / 16 + 0.5)
    lopsided = 1 + 0.25 * smooth_field(rng, shape, 10.0)
    reach = np.where(distance > 0, np.exp(-np.maximum(distance, 0) / 14), np.clip(1 + distance / 6, 0, 1))
    above = smoothstep((mni_z + 16) / 10)
    warp -= slope * reach * widening * lopsided * loose * above
    return np.asarray(warp, np.float32)
