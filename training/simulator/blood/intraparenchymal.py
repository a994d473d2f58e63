# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood in the brain itself: deep, lobar, cerebellar and in the brainstem, with oedema, mass effect and rupture into
a ventricle.

Sites follow the usual shares: deep about half, lobar a third, cerebellum and brainstem a tenth each at most (Qureshi
et al., N Engl J Med 2001). Edges are irregular (Barras et al., Stroke 2009), oedema is a rim of some millimetres
(Inaji et al., Acta Neurochir Suppl 2003).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from training.simulator.anatomy import WARP_GRID_MM, Anatomy, Box, at_warp_nodes
from training.simulator.atlas import REGIONS
from training.simulator.blood.growth import Growth, leaned, size_for, trimmed
from training.simulator.fields import smooth_field
from training.simulator.landmarks import smoothstep

Field = NDArray[np.float32]

_DEEP = ("putamen", "thalamus", "caudate")
_LOBES = ("frontal", "parietal", "temporal", "occipital")


@dataclass(frozen=True)
class ParenchymalPlan:
    """An intraparenchymal bleed: `reach` is the distance (mm) from its centre, made ragged, within which blood lies."""

    box: Box
    reach: Field = field(repr=False)
    density: Field = field(repr=False)
    oedema_mm: float
    oedema_hu: float
    edge_mm: float
    push_share: float
    lean: float  # midline shift, mm for a mL
    voxel_ml: float
    anatomy: Anatomy = field(repr=False)
    under_hu: float = 32.0

    def _fraction(self, size: float) -> Field:
        return np.asarray(np.clip(0.5 - (self.reach - np.float32(size)) / np.float32(self.edge_mm), 0, 1), np.float32)

    def grown(self, volume_ml: float) -> Growth:
        """Return the bleed with about `volume_ml` of blood."""
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, -12.0, 70.0)
        fraction = self._fraction(size)
        beyond = np.maximum(self.reach - np.float32(size), 0)
        oedema = np.float32(self.oedema_hu) * np.exp(-beyond / np.float32(self.oedema_mm))
        oedema[beyond > 4 * self.oedema_mm] = 0
        return trimmed(Growth(self.box, fraction, self.density, oedema, self._push(size, volume_ml, fraction)))

    def _push(self, size: float, volume_ml: float, fraction: Field) -> Field:
        """Return the mass effect: tissue moves away from the bleed as from a growing ball, not through the skull."""
        atlas = self.anatomy.atlas
        radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
        whole = np.full(atlas.shape, 99.0, np.float32)
        whole[self.box] = self.reach
        away = at_warp_nodes(whole) - np.float32(size)
        slope = np.stack(np.gradient(away, WARP_GRID_MM)).astype(np.float32)
        slope /= np.maximum(np.sqrt((slope**2).sum(0)), 0.5)
        r = np.maximum(radius + away, 0.0)
        moved = r - np.cbrt(np.maximum(r**3 - self.push_share * radius**3, 0))
        at_edge = radius * (1 - np.cbrt(1 - self.push_share))
        moved = np.where(away < 0, at_edge * np.clip(1 + away / radius, 0, 1), moved)
        depth = -at_warp_nodes(np.asarray(atlas.cavity_distance))
        moved = np.minimum(moved, 14) * smoothstep(depth / 12) * (away < 90)
        push = np.asarray(-slope * moved, np.float32)
        return leaned(push, self.anatomy, self.box, fraction, min(self.lean * volume_ml, 10), away < WARP_GRID_MM)


def planned(anatomy: Anatomy, volume_ml: float, rng: np.random.Generator) -> ParenchymalPlan:
    """Return a parenchymal bleed at a site where about `volume_ml` fits."""
    atlas = anatomy.atlas
    shares = {
        "deep": 0.48,
        "lobar": 0.36,
        "cerebellum": 0.1 if volume_ml < 30 else 0.0,
        "brainstem": 0.06 if volume_ml < 6 else 0.0,
    }
    weights = np.array(list(shares.values()))
    place = str(rng.choice(list(shares), p=weights / weights.sum()))
    radius = (3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
    region = str(rng.choice(_DEEP, p=[0.55, 0.35, 0.1]) if place == "deep" else place)
    if place == "lobar":
        region = str(rng.choice(_LOBES, p=[0.35, 0.25, 0.25, 0.15]))
    inside = atlas.region == REGIONS[region]
    depth = -atlas.cavity_distance
    falx = atlas.falx_distance
    if place == "lobar":
        inside &= (atlas.white > 0.5) & (depth > min(4 + 0.8 * radius, 24)) & (np.abs(falx) > min(3 + 0.7 * radius, 18))
    elif place == "cerebellum":
        inside &= (depth > min(3 + 0.8 * radius, 17)) & (atlas.tentorium_distance < -min(2 + 0.6 * radius, 12))
    elif place == "brainstem":
        inside &= (depth > 6) & (atlas.white + atlas.grey > 0.8)
    candidates = np.argwhere(inside)
    centre = candidates[rng.integers(len(candidates))].astype(np.float64)

    half = int(min(2.2 * radius + 14, 64))
    cz, cy, cx = (int(c) for c in centre)
    z, y, x = (slice(max(0, c - half), min(n, c + half)) for c, n in zip((cz, cy, cx), atlas.shape, strict=True))
    box = (z, y, x)
    shape = tuple(s.stop - s.start for s in box)
    grid = [np.arange(s.start, s.stop, dtype=np.float32) - np.float32(c) for s, c in zip(box, centre, strict=True)]
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    long_axis = np.array([0.15, 1.0, 0.15]) if place == "deep" else axes[0]
    axes[0] = long_axis / np.linalg.norm(long_axis)
    axes, _ = np.linalg.qr(axes.T)
    stretch = np.array([rng.uniform(1.1, 1.6), 1.0, rng.uniform(0.7, 1.0)])
    reach2 = np.zeros(shape, np.float32)
    for axis, s in zip(axes.T, stretch, strict=True):
        along = (
            grid[0][:, None, None] * np.float32(axis[0])
            + grid[1][None, :, None] * np.float32(axis[1])
            + grid[2][None, None, :] * np.float32(axis[2])
        )
        reach2 += (along / np.float32(s)) ** 2
    reach = np.sqrt(reach2)
    ragged = rng.uniform(0.1, 0.35)
    reach += np.float32(ragged * radius) * smooth_field(rng, shape, max(3.0, 0.8 * radius))
    reach += np.float32(min(0.8 + 0.04 * radius, 1.6) * ragged * 3) * smooth_field(rng, shape, 3.0)

    # Walls: skull, falx and tentorium hold; CSF around gyri mostly; a ventricle unless the bleed breaks into it.
    reach += 3 * np.maximum(0, 2 - depth[box])
    if place != "brainstem":
        side = 1.0 if falx[cz, cy, cx] > 0 else -1.0
        if place != "cerebellum":
            reach += 2.5 * np.maximum(0, 1.5 - np.float32(side) * anatomy.in_grid([anatomy.falx], box)[0])
    above = 1.0 if place in ("deep", "lobar") else -1.0
    reach += 2.5 * np.maximum(0, 1.5 - np.float32(above) * atlas.tentorium_distance[box]) * (place != "brainstem")
    grey, white, ventricle = anatomy.in_grid(anatomy.fractions, box)
    ruptured = rng.random() < {"deep": 0.3, "lobar": 0.08}.get(place, 0.1) and volume_ml > 6
    if ruptured:
        reach -= np.float32(0.45 * radius) * ventricle
    else:
        reach += 15 * ventricle
    reach += 5 * np.clip(1 - grey - white - ventricle, 0, 1)

    base = rng.uniform(56, 76)
    density = np.float32(base) + np.float32(rng.uniform(1.0, 4.0)) * smooth_field(rng, shape, max(4.0, 0.4 * radius))
    if rng.random() < 0.2:
        swirl = smoothstep(smooth_field(rng, shape, max(3.0, 0.5 * radius)) - 0.6)
        density -= np.float32(rng.uniform(6, 20)) * swirl
    return ParenchymalPlan(
        box=box,
        reach=reach,
        density=np.asarray(density, np.float32),
        oedema_mm=float(rng.uniform(1.0, 2.0) + 0.09 * radius),
        oedema_hu=float(rng.uniform(3, 12)),
        edge_mm=float(rng.uniform(1.2, 3.0)),
        push_share=float(rng.uniform(0.3, 0.75)),
        lean=float(rng.uniform(0.01, 0.09)) if place in ("deep", "lobar") else 0.0,
        voxel_ml=anatomy.voxel_ml,
        anatomy=anatomy,
        under_hu=anatomy.tissue.white,
    )
