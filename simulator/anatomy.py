# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Many heads from one atlas: shape, brain, skull and scalp, in HU and before any scanner.

A head lives on the atlas grid (1 mm, contract orientation). Its *inside* is warped there (gyri, ventricles, and the
push of a bleed), its *outside shape* is the map from patient space to that grid, which the scanner follows when it
samples. So tissue is interpolated once and stays sharp. What tells heads apart is drawn in `tissue.py` (HU), `build.py`
(age, size, position), `skull.py` and `warp.py`; `exterior.py` makes all but the inside of the skull, this module the
inside. Nothing here knows of slices, noise or hemorrhage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.atlas import Atlas, load_atlas
from simulator.build import Build, rotation
from simulator.dura import lay_arteries, membranes, sinuses, soften
from simulator.exterior import Exterior
from simulator.face import Face
from simulator.fields import Taps, smooth_field, spread, stream
from simulator.fillings import Fillings
from simulator.landmarks import Landmarks, smoothstep
from simulator.mimics import Mimics
from simulator.mimics.mimic import Inside, Nodes
from simulator.population import TRAINING, Population, ScannerRange
from simulator.skull import Skull
from simulator.soft_tissue import Eye
from simulator.tissue import Tissue
from simulator.warp import WARP_GRID_MM, at_warp_nodes, draw_warp

Field = NDArray[np.float32]

SHAPE_GRID_MM = 64  # control points of the outer deformation: closer ones make polygons of skulls
SHAPE_ORIGIN_MM = -160.0
SHAPE_POINTS = 8
EFFACED_FROM_MM, EFFACED_MM = 1.5, 6.0  # of push: from where sulci give way, and where they are closed

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Anatomy:
    """One head without blood.

    Attributes
    ----------
    inner_warp: float32 [3, z, y, x] on `WARP_GRID_MM`: where the tissue seen at a place of the cavity comes from, mm to
        add to z, y, x of the atlas.
    effaced: float32 [z, y, x] on the same grid, 0 to 1: how far a mass has closed the sulci there; None for no mass.
    """

    seed: int
    atlas: Atlas
    tissue: Tissue
    build: Build
    mimics: Mimics
    exterior: Exterior
    fillings: Fillings
    shape_coefficients: Field
    inner_warp: Field
    texture: Field = field(repr=False)
    effaced: Field | None = field(default=None, repr=False)

    @classmethod
    def draw(cls, seed: int, population: Population = TRAINING, *, extra_pitch_deg: float = 0.0) -> Anatomy:
        """Return the head of this seed; `extra_pitch_deg` turns it against a tilted gantry."""
        atlas = load_atlas(population.anatomy)
        build = Build.draw(stream(seed, "build"), wide=population.scanners is ScannerRange.WIDE)
        pitch, yaw, roll = build.rotation_deg
        build = replace(build, rotation_deg=(pitch + extra_pitch_deg, yaw, roll))
        shape = stream(seed, "shape")
        coefficients = shape.standard_normal((3, SHAPE_POINTS, SHAPE_POINTS, SHAPE_POINTS), np.float32)
        # Most of what tells heads apart is the same on both sides; a little is not.
        mirror = coefficients[..., ::-1] * np.array([1, 1, -1], np.float32)[:, None, None, None]
        coefficients = np.float32(0.65) * (coefficients + mirror) + np.float32(0.3) * coefficients
        coefficients *= np.float32(shape.uniform(5, 10))
        texture = smooth_field(stream(seed, "texture"), atlas.shape, 5)
        mimics = Mimics.draw(seed, population.mimics)
        tissue = mimics.thicken(Tissue.draw(stream(seed, "tissue")))
        skull = Skull.draw(stream(seed, "bone"), build.age_years)
        face = Face.draw(stream(seed, "face"), build.age_years)
        eyes = Eye.pair(stream(seed, "eyes"), tissue, build.age_years)
        head = cls(
            seed=seed,
            atlas=atlas,
            tissue=tissue,
            build=build,
            mimics=mimics,
            exterior=Exterior(seed, atlas, tissue, build, skull, face, eyes, mimics, texture),
            fillings=Fillings.draw(stream(seed, "fillings"), face.teeth),
            shape_coefficients=coefficients,
            inner_warp=draw_warp(stream(seed, "gyri"), atlas, build),
            texture=texture,
        )
        push = mimics.push(_nodes(atlas))
        return head if push is None else head.push_tissue(push)

    # ---- from patient space to the atlas grid

    def atlas_index(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the atlas voxel coordinates [..., 3] (z, y, x) of patient points [..., 3] (x, y, z; mm, LPS)."""
        build = self.build
        zyx = np.asarray(points, np.float64)[..., ::-1] - np.asarray(build.shift_mm)
        turn = rotation(*build.rotation_deg)
        # The inverse turn; written out, because BLAS rounds differently with the number of threads.
        zyx = zyx[..., :1] * turn[0] + zyx[..., 1:2] * turn[1] + zyx[..., 2:] * turn[2]
        zyx = zyx / np.asarray(build.scale)
        grid = np.moveaxis((zyx - SHAPE_ORIGIN_MM) / 8.0, -1, 0)
        moved = [ndimage.map_coordinates(part, grid, order=1, mode="nearest") for part in self._shape_field]
        zyx = zyx + np.stack(moved, -1)
        # Few skulls are straight: one side lies before the other.
        zyx[..., 1] += zyx[..., 2] * (build.skew_mm / 70)
        if build.mirrored:
            zyx = zyx * np.array([1.0, 1.0, -1.0])
        origin = self.atlas.origin_mni
        # Patient space has its origin at MNI (0, 0, 0): z up, y to posterior, x to the left.
        return np.asarray(zyx + np.array([-origin[0], origin[1], origin[2]]))

    @cached_property
    def _shape_field(self) -> Field:
        """The outer deformation, float32 [3, z, y, x], on an 8 mm grid, mm."""
        step = SHAPE_GRID_MM / 8.0
        taps = Taps.spline(int((SHAPE_POINTS - 3) * step), step)
        return spread(self.shape_coefficients, (taps, taps, taps))

    # ---- tissue on the atlas grid

    @cached_property
    def cavity_box(self) -> Box:
        """The part of the grid that holds the cavity."""
        found = ndimage.find_objects((self.atlas.cavity_distance < 2).astype(np.uint8))[0]
        z, y, x = found
        return z, y, x

    @cached_property
    def _box_lines(self) -> tuple[Field, Field, Field]:
        """MNI z, y, x (mm) of `cavity_box`, broadcastable."""
        z, y, x = self.atlas.mni()
        box = self.cavity_box
        return z[box[0]], y[:, box[1]], x[:, :, box[2]]

    @cached_property
    def fractions(self) -> tuple[Field, Field, Field]:
        """Grey matter, white matter and ventricle in `cavity_box`, warped and with this head's atrophy."""
        box = self.cavity_box
        grey, white, ventricle = (self.warp(part) for part in (self.atlas.grey, self.atlas.white, self.atlas.ventricle))
        brain = grey + white
        cavity = np.clip(0.5 - self.atlas.cavity_distance[box], 0, 1)
        atrophy = self.build.atrophy
        if atrophy > 0:
            # The banks of sulci give way, most in front and beside the Sylvian fissures, least in the cerebellum.
            z, y, x = self._box_lines
            front = smoothstep((y + 15) / 45) * smoothstep((z + 25) / 20)
            sylvian = np.exp(-0.5 * (((np.abs(x) - 44) / 11) ** 2 + ((y - 2) / 22) ** 2 + ((z - 4) / 13) ** 2))
            behind = smoothstep((-18 - z) / 8) * smoothstep((-30 - y) / 8)
            convexity = smoothstep((z - 25) / 25)
            local = np.float32(atrophy) * (0.75 + 0.45 * front + 0.6 * sylvian + 0.35 * convexity) * (1 - 0.6 * behind)
            solid = ndimage.gaussian_filter(np.minimum(brain + ventricle, 1), 1.2)
            kept = smoothstep((solid - np.minimum(0.55 + 0.24 * local, 0.9)) / 0.14 + 0.5)
            depth = -self.atlas.cavity_distance[box]
            shrunk = np.float32(self.build.subdural_mm) * front * (1 - 0.5 * smoothstep((np.abs(x) - 50) / 15))
            kept *= smoothstep((depth - shrunk) / 1.5 + 1)
        else:
            around = ndimage.gaussian_filter(brain, 1.6)
            wanted = np.clip(brain - 1.2 * atrophy * around**2 * (1 - ventricle), 0, 1)
            grey = grey + np.clip(wanted - brain, 0, 1)
            kept = np.ones_like(brain)
        if self.build.cavum_mm:
            kept *= 1 - self._cavum()
        kept *= cavity
        grey, white, ventricle = grey * kept, white * kept, ventricle * cavity
        if self.effaced is not None:
            # Gyri that are pressed together leave no CSF between them.
            grey = grey + self._effacement * np.maximum(cavity - grey - white - ventricle, 0)
        return grey, white, ventricle

    @cached_property
    def _effacement(self) -> Field:
        """How far the sulci of `cavity_box` are closed, 0 to 1, [Z, Y, X]."""
        assert self.effaced is not None
        taps = tuple(
            Taps.linear(np.arange(s.start, s.stop) / WARP_GRID_MM, n)
            for s, n in zip(self.cavity_box, self.effaced.shape, strict=True)
        )
        return spread(self.effaced, (taps[0], taps[1], taps[2]))

    def _cavum(self) -> Field:
        """Return how much of each voxel of `cavity_box` is the cavum between the leaves of the septum."""
        z, y, _ = self._box_lines
        near = smoothstep((9 - self.warp_smooth(self.atlas.ventricle_distance)) / 4)
        within = smoothstep((24 - y) / 5) * smoothstep((y + 6) / 5) * smoothstep((z - 1) / 3) * smoothstep((20 - z) / 4)
        return np.asarray(np.clip(self.build.cavum_mm + 0.5 - np.abs(self.falx), 0, 1) * within * near, np.float32)

    @cached_property
    def falx(self) -> Field:
        """Distance (mm) to the plane between the hemispheres in `cavity_box`, warped, positive to the right."""
        return self.warp_smooth(self.atlas.falx_distance)

    @cached_property
    def venous(self) -> Field:
        """How much of each voxel of `cavity_box` is dural sinus or lies about the sella."""
        grey, white, _ = self.fractions
        return np.asarray(np.minimum(self.warp(self.atlas.venous), 1 - grey - white), np.float32)

    @property
    def voxel_ml(self) -> float:
        """The volume in the patient of a voxel of the atlas grid, about, mL."""
        return float(np.prod(self.build.scale)) / 1000

    def in_grid(self, parts: Sequence[Field], box: Box) -> list[Field]:
        """Return volumes given on `cavity_box` as seen in another box of the grid, 0 outside the cavity's."""
        out = []
        for part in parts:
            seen = np.zeros([s.stop - s.start for s in box], np.float32)
            theirs, ours = [], []
            for s, c in zip(box, self.cavity_box, strict=True):
                low, high = max(s.start, c.start), max(min(s.stop, c.stop), max(s.start, c.start))
                theirs.append(slice(low - c.start, high - c.start))
                ours.append(slice(low - s.start, high - s.start))
            seen[tuple(ours)] = part[tuple(theirs)]
            out.append(seen)
        return out

    def warp(self, volume: Field) -> Field:
        """Return an atlas volume as this head shows it, [Z, Y, X] of `cavity_box`; 0 outside the skull."""
        inside, coordinates = self._warp_coordinates
        out = np.zeros(inside.shape, np.float32)
        out[inside] = ndimage.map_coordinates(volume, coordinates, order=1, mode="nearest", output=np.float32)
        return out

    def warp_smooth(self, volume: Field) -> Field:
        """Return a smooth atlas volume (distances) as `cavity_box` shows it: every second voxel, linear between."""
        box = self.cavity_box
        half = [np.arange(s.start, s.stop + 1, 2) for s in box]
        grid = self._warp_at([h.astype(np.float32) for h in half])
        coarse = ndimage.map_coordinates(volume, grid, order=1, mode="nearest", output=np.float32)
        return spread(
            coarse,
            tuple(Taps.linear(np.arange(s.stop - s.start) / 2, len(h)) for s, h in zip(box, half, strict=True)),
        )

    def _warp_at(self, at: list[Field]) -> Field:
        """Return where the tissue at a grid of atlas voxels comes from: atlas coordinates, float32 [3, Z, Y, X]."""
        taps = [Taps.linear(a / WARP_GRID_MM, n) for a, n in zip(at, self.inner_warp.shape[1:], strict=True)]
        out = spread(self.inner_warp, tuple(taps))
        for axis, a in enumerate(at):
            out[axis] += a.reshape([-1 if k == axis else 1 for k in range(3)])
        return out

    @cached_property
    def _warp_coordinates(self) -> tuple[NDArray[np.bool_], Field]:
        """The voxels of `cavity_box` inside the skull, and where each takes its tissue from: float32 [3, voxels]."""
        inside = self.atlas.cavity_distance[self.cavity_box] < 0.75
        at = [np.arange(s.start, s.stop, dtype=np.float32) for s in self.cavity_box]
        return inside, self._warp_at(at)[:, inside]

    def push_tissue(self, push: Field) -> Anatomy:
        """Return this head after a push: float32 [3, z, y, x] on `WARP_GRID_MM`, where tissue comes from, mm.

        What is pushed by some millimetres closes its sulci.
        """
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in push.shape[1:]), indexing="ij")).astype(np.float32)
        source = grid + push / WARP_GRID_MM
        before = np.stack([ndimage.map_coordinates(w, source, order=1, mode="nearest") for w in self.inner_warp])
        far = np.sqrt((push**2).sum(0))
        effaced = smoothstep((far - EFFACED_FROM_MM) / (EFFACED_MM - EFFACED_FROM_MM))
        if self.effaced is not None:
            effaced = np.maximum(effaced, self.effaced)
        return replace(self, inner_warp=before + push, effaced=effaced if effaced.any() else None)

    @cached_property
    def cavity(self) -> Field:
        """How much of each voxel of `cavity_box` lies inside the inner table."""
        return np.asarray(np.clip(0.5 - self.atlas.cavity_distance[self.cavity_box], 0, 1), np.float32)

    def hu(self, intracranial: Field | None = None) -> Field:
        """Return the head's HU [Z, Y, X] on the atlas grid, air outside.

        Parameters
        ----------
        intracranial: what fills `cavity_box`, HU; the head's own tissue by default.
        """
        out = self.exterior.hu.copy()
        box = self.cavity_box
        inside = self.intracranial if intracranial is None else intracranial
        out[box] += self.cavity * (inside - out[box])
        hardening = self.mimics.hardening(self.landmarks)
        if hardening is not None:
            out[box] += self.cavity * hardening
        return out

    @cached_property
    def suture_distance(self) -> Field:
        """Distance (mm, about) along the vault to the nearest suture, [Z, Y, X] of `cavity_box`: where dura holds."""
        at = self._box_lines
        half = [line.ravel()[::2].reshape([-1 if a == k else 1 for k in range(3)]) for a, line in enumerate(at)]
        coarse = self.exterior.skull.sutures.distance(half[0], half[1], half[2])
        z, y, x = (Taps.linear(np.arange(line.size) / 2, size) for line, size in zip(at, coarse.shape, strict=True))
        return spread(coarse, (z, y, x))

    @cached_property
    def landmarks(self) -> Landmarks:
        """Where the voxels of `cavity_box` lie."""
        atlas, box = self.atlas, self.cavity_box
        grey, white, _ = self.fractions
        z, y, x = self._box_lines
        return Landmarks(
            z=z,
            y=y,
            x=x,
            depth=-atlas.cavity_distance[box],
            falx=self.falx,
            tentorium=self.warp_smooth(atlas.tentorium_distance),
            from_ventricle=self.warp_smooth(atlas.ventricle_distance),
            brain=grey + white,
            white=white,
            texture=self.texture[box],
        )

    @cached_property
    def intracranial(self) -> Field:
        """The HU of `cavity_box` as if all of it were inside the skull."""
        atlas, tissue, mimics, at = self.atlas, self.tissue, self.mimics, self.landmarks
        grey, white, ventricle = self.fractions
        to_grey = 0.75 * self.warp_smooth(atlas.deep_grey) * white
        out = np.float32(tissue.csf) + (grey + to_grey) * np.float32(tissue.grey - tissue.csf)
        out += (white - to_grey) * np.float32(tissue.white - tissue.csf)
        out += np.float32(tissue.texture) * at.texture * at.brain
        falx, tentorium = membranes(at)
        sinus = soften(np.maximum(sinuses(at, self.build.transverse_sinus), self.venous), self.cavity)
        inside = Inside(
            out, at, tissue, falx, tentorium, sinus, ventricle, self.inner_warp, WARP_GRID_MM, atlas.origin_mni
        )
        mimics.lay_in_brain(inside)
        lay_arteries(out, at, tissue.venous, stream(self.seed, "arteries"))
        out += falx * (np.float32(tissue.dura) - out)
        out += tentorium * (np.float32(tissue.dura) - out)
        out += sinus * (np.float32(tissue.venous) - out)
        mimics.lay_over_dura(inside)
        return out


def _nodes(atlas: Atlas) -> Nodes:
    """Return the nodes of the inner warp, as mimics that push the brain see them."""
    z, y, x = atlas.mni()
    lines = (at_warp_nodes(np.broadcast_to(line, atlas.shape)) for line in (z, y, x))
    distances = (at_warp_nodes(d) for d in (-atlas.cavity_distance, atlas.tentorium_distance, atlas.falx_distance))
    return Nodes(*lines, *distances)
