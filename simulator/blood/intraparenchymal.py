# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Blood in the brain itself: deep, lobar, cerebellar, in the brainstem, and contusions, with oedema and mass effect.

Edges are irregular and satellites lie near (Barras et al., Stroke 2009). Within hours the dark rim holds about half as
much as the clot (5.3 mL beside 11.7, Lv et al., Oxid Med Cell Longev 2021), within a day or two as much (46 beside 39,
Venkatasubramanian et al., Stroke 2011), and it grows for days (Inaji et al., Acta Neurochir Suppl 2003): 2-3 mm about
12 mL, 6 mm about 40. Blood parts the tissue more than it destroys it, so that most of its volume is mass effect.
Contusions lie
where brain strikes rough bone, at the base of the frontal and the tip of the temporal lobes, and are patches of blood
in bruised cortex (Gean, Imaging of Head Trauma, 1994). A horizontal level is seen in 2 % of clots, with a
coagulopathy in 59 % (Pfleger et al., AJNR 1994).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.anatomy import Anatomy, Box
from simulator.atlas import REGIONS
from simulator.blood.clot import ISODENSE_HU, Age, Clot, downwards, settle
from simulator.blood.form import Bleed, Form
from simulator.blood.growth import PUSHES_FROM_ML, Growth, size_for, trim
from simulator.blood.push import lean_away
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep
from simulator.warp import WARP_GRID_MM, at_warp_nodes

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

_DEEP: Final = ("putamen", "thalamus", "caudate")
_LOBES: Final = ("frontal", "parietal", "temporal", "occipital")
_LEVEL_RATE = 0.07


@dataclass(frozen=True)
class ParenchymalPlan:
    """An intraparenchymal bleed: `reach` is the distance (mm) from its centre, made ragged, within which blood lies."""

    box: Box
    reach: Field = field(repr=False)
    patches: Field = field(repr=False)  # how much of the reached tissue blood replaces
    density: Field = field(repr=False)
    oedema_mm: float
    oedema_hu: float
    edge_mm: float
    push_share: float
    lean: float  # midline shift, mm for a mL
    voxel_ml: float
    anatomy: Anatomy = field(repr=False)
    under_hu: float

    def _fraction(self, size: float) -> Field:
        filled = np.clip(0.5 - (self.reach - np.float32(size)) / np.float32(self.edge_mm), 0, 1)
        return np.asarray(filled * self.patches, np.float32)

    def grow(self, volume_ml: float) -> Growth:
        """Return the bleed with about `volume_ml` of blood."""
        size = size_for(lambda s: float(self._fraction(s).sum()) * self.voxel_ml, volume_ml, -12.0, 90.0, steps=18)
        fraction = self._fraction(size)
        beyond = np.maximum(self.reach - np.float32(size), 0)
        # Even next to the clot, and over within two or three millimetres.
        oedema = np.float32(self.oedema_hu) * np.exp(-((beyond / np.float32(self.oedema_mm)) ** 4))
        oedema[beyond > 1.6 * self.oedema_mm] = 0
        push = self._push(size, volume_ml, fraction) if volume_ml > PUSHES_FROM_ML else None
        return trim(Growth(self.box, fraction, self.density, oedema, push), self.anatomy.cavity_box)

    def _push(self, size: float, volume_ml: float, fraction: Field) -> Field:
        """Return the mass effect: tissue moves away from the bleed as from a growing ball, not through the skull."""
        atlas = self.anatomy.atlas
        radius = radius_mm(volume_ml)
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
        return lean_away(push, self.anatomy, self.box, fraction, min(self.lean * volume_ml, 14), away < WARP_GRID_MM)


def radius_mm(volume_ml: float) -> float:
    """Return the radius (mm) of a ball of that volume."""
    return float((3 * volume_ml * 1000 / (4 * np.pi)) ** (1 / 3))


Reach = Callable[[Anatomy, Bleed, Box, tuple[int, int, int], np.random.Generator], Field]
"""What gives how far (about mm) each voxel [Z, Y, X] of a box is for blood that starts at a voxel."""


def plan_intraparenchymal(
    anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator, reached: Reach | None = None
) -> ParenchymalPlan:
    """Return a parenchymal bleed of a form at a site where it fits.

    Parameters
    ----------
    reached: the shape; ragged balls by default.
    """
    atlas, form = anatomy.atlas, bleed.form
    radius = radius_mm(bleed.volume_ml)
    cz, cy, cx = centre = draw_site(anatomy, bleed, rng)
    half = int(min(2.2 * radius + 14, 64))
    z, y, x = (slice(max(0, c - half), min(n, c + half)) for c, n in zip(centre, atlas.shape, strict=True))
    box = (z, y, x)
    shape = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    reach = (reached or ragged_balls)(anatomy, bleed, box, centre, rng)
    clot = Clot.draw(anatomy, bleed, rng)
    density = clot.density(rng, shape, max(4.0, 0.4 * radius))
    patches = np.ones(shape, np.float32)
    if form is Form.CONTUSION and bleed.volume_ml > 0.1:
        # Salt and pepper: bruised brain between the blood.
        bruised = smooth_field(rng, shape, float(rng.uniform(3, 6))) + 0.3
        patches -= np.float32(rng.uniform(0.2, 0.75)) * smoothstep(bruised)
    elif bleed.volume_ml > 6 and rng.random() < _LEVEL_RATE:
        down = downwards(anatomy, box)
        middle = float(down[cz - z.start, cy - y.start, cx - x.start])
        density = settle(density, down, middle + radius * float(rng.uniform(-0.6, 0.4)), float(rng.uniform(10, 28)))
    # Blood as dense as brain shows by what it presses upon and by its oedema, or not at all.
    isodense = clot.hu < ISODENSE_HU
    older = {Age.HYPERACUTE: 0.6, Age.ACUTE: 1.0, Age.SUBACUTE: 1.8}[clot.age]
    if form is Form.CONTUSION:
        older *= 1.5
    return ParenchymalPlan(
        box=box,
        reach=reach,
        patches=patches,
        density=density,
        oedema_mm=float(rng.uniform(2.0, 5.0) + 0.13 * radius) * (max(older, 1.0) if isodense else older),
        oedema_hu=max(float(rng.uniform(6, 14)), 8.0 if isodense else 0.0),
        edge_mm=float(min(rng.uniform(1.0, 2.6), 0.4 + 0.5 * radius)),
        push_share=max(float(rng.uniform(0.6, 0.95)), 0.75 if isodense else 0.0)
        * (0.6 if form is Form.CONTUSION else 1),
        lean=float(rng.uniform(0.05, 0.17)) if form in (Form.DEEP, Form.LOBAR, Form.CONTUSION) else 0.0,
        voxel_ml=anatomy.voxel_ml,
        anatomy=anatomy,
        under_hu=anatomy.tissue.grey if form is Form.CONTUSION else anatomy.tissue.white,
    )


def ragged_balls(
    anatomy: Anatomy, bleed: Bleed, box: Box, centre: tuple[int, int, int], rng: np.random.Generator
) -> Field:
    """Return the distance (mm) from a ragged ellipsoid's centre, satellites beside it, raised at walls, [Z, Y, X]."""
    form, radius = bleed.form, radius_mm(bleed.volume_ml)
    cz, cy, cx = centre
    reach = _from_ball(rng, box, centre, form is Form.DEEP)
    if form is Form.CONTUSION or rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 5))):
            # Satellites: smaller, beside it, soon merged as the bleed grows.
            off = rng.standard_normal(3)
            off *= radius * rng.uniform(0.9, 1.7) / np.linalg.norm(off)
            beside = _from_ball(rng, box, (cz + off[0], cy + off[1], cx + off[2]), False)
            reach = np.minimum(reach, beside + np.float32(radius * rng.uniform(0.45, 0.85)))
    ragged = float(rng.uniform(0.1, 0.4))
    reach += np.float32(ragged * radius) * smooth_field(rng, reach.shape, max(3.0, 0.8 * radius))
    reach += np.float32(min(0.4 + 0.06 * radius, 1.6) * ragged * 3) * smooth_field(rng, reach.shape, 3.0)
    reach += _walls(anatomy, bleed, box, centre, radius)
    if form is Form.CONTUSION:
        # It is broad at the surface and thins out inwards.
        reach += np.float32(0.5) * np.maximum(0, -anatomy.atlas.cavity_distance[box] - np.float32(4 + 0.5 * radius))
    return np.asarray(reach, np.float32)


def draw_site(anatomy: Anatomy, bleed: Bleed, rng: np.random.Generator) -> tuple[int, int, int]:
    """Return the voxel z, y, x of the atlas grid where a bleed of this form and size starts."""
    radius = radius_mm(bleed.volume_ml)
    region = {
        Form.DEEP: str(rng.choice(_DEEP, p=[0.55, 0.35, 0.1])),
        Form.LOBAR: str(rng.choice(_LOBES, p=[0.35, 0.25, 0.25, 0.15])),
        Form.CONTUSION: str(rng.choice(["frontal", "temporal"])),
        Form.CEREBELLAR: "cerebellum",
        Form.BRAINSTEM: "brainstem",
    }[bleed.form]
    atlas = anatomy.atlas
    here = (atlas.region == REGIONS[region]) & (np.float32(bleed.side) * atlas.falx_distance > 0)
    # A large bleed keeps away from skull and midline; where a region is too small for that, it comes nearer.
    for apart in (1.0, 0.6, 0.3, 0.0):
        candidates = np.flatnonzero(here & _fits(anatomy, bleed.form, region, apart * radius))
        if candidates.size:
            break
    else:
        candidates = np.flatnonzero(here)
    z, y, x = np.unravel_index(int(candidates[rng.integers(candidates.size)]), atlas.shape)
    return int(z), int(y), int(x)


def _fits(anatomy: Anatomy, form: Form, region: str, radius: float) -> Mask:
    """Return where a bleed of `radius` mm may have its centre, bool [Z, Y, X] on the atlas grid."""
    atlas = anatomy.atlas
    depth = -atlas.cavity_distance
    if form is Form.LOBAR:
        off_midline = np.abs(atlas.falx_distance) > min(3 + 0.7 * radius, 18)
        return np.asarray((atlas.white > 0.5) & (depth > min(4 + 0.8 * radius, 24)) & off_midline)
    if form is Form.CEREBELLAR:
        return np.asarray((depth > min(3 + 0.8 * radius, 17)) & (atlas.tentorium_distance < -min(2 + 0.6 * radius, 12)))
    if form is Form.BRAINSTEM:
        below_thalamus = atlas.mni()[0] < -10
        return np.asarray(below_thalamus & (depth > 6) & (atlas.white + atlas.grey > 0.8))
    if form is Form.CONTUSION:
        z, y, _ = atlas.mni()
        rough = (z < 12) & (y > 22) if region == "frontal" else (z < 0) & (y > -35)
        brain = atlas.white + atlas.grey > 0.7
        return np.asarray(rough & brain & (depth > 1.5 + 0.4 * radius) & (depth < 5 + 0.6 * radius))
    return np.ones(atlas.shape, bool)


def _from_ball(rng: np.random.Generator, box: Box, centre: tuple[float, float, float], along_capsule: bool) -> Field:
    """Return the distance (mm) from a point, measured in a stretched and turned ellipsoid, [Z, Y, X] of the box."""
    grid = [np.arange(s.start, s.stop, dtype=np.float32) - np.float32(c) for s, c in zip(box, centre, strict=True)]
    axes, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    if along_capsule:
        axes[0] = np.array([0.15, 1.0, 0.15]) / np.linalg.norm([0.15, 1.0, 0.15])
    axes, _ = np.linalg.qr(axes.T)
    stretch = np.array([rng.uniform(1.1, 1.6), 1.0, rng.uniform(0.7, 1.0)])
    squared = np.zeros([s.stop - s.start for s in box], np.float32)
    for axis, s in zip(axes.T, stretch, strict=True):
        along = (
            grid[0][:, None, None] * np.float32(axis[0])
            + grid[1][None, :, None] * np.float32(axis[1])
            + grid[2][None, None, :] * np.float32(axis[2])
        )
        squared += (along / np.float32(s)) ** 2
    return np.asarray(np.sqrt(squared), np.float32)


def _walls(anatomy: Anatomy, bleed: Bleed, box: Box, centre: tuple[int, int, int], radius: float) -> Field:
    """Return what walls add to the reach: skull, falx and tentorium hold; CSF around gyri mostly; a ventricle unless
    the bleed breaks into it."""
    atlas, form = anatomy.atlas, bleed.form
    out = 3 * np.maximum(0, 2 + atlas.cavity_distance[box])
    side = 1.0 if atlas.falx_distance[centre] > 0 else -1.0
    if form not in (Form.BRAINSTEM, Form.CEREBELLAR):
        out += 2.5 * np.maximum(0, 1.5 - np.float32(side) * anatomy.in_grid([anatomy.falx], box)[0])
    if form is not Form.BRAINSTEM:
        above = -1.0 if form is Form.CEREBELLAR else 1.0
        out += 2.5 * np.maximum(0, 1.5 - np.float32(above) * atlas.tentorium_distance[box])
    grey, white, ventricle = anatomy.in_grid(anatomy.fractions, box)
    out += np.float32(-0.45 * radius if bleed.ruptured else 15) * ventricle
    out += 5 * np.clip(1 - grey - white - ventricle, 0, 1)
    return np.asarray(out, np.float32)
