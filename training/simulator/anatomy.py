# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Many heads from one atlas: shape, brain, skull and scalp, in HU and before any scanner.

A head lives on the atlas grid (1 mm, contract orientation). Its *inside* is warped there (gyri, ventricles, and the
push of a bleed), its *outside shape* is the map from patient space to that grid, which the scanner follows when it
samples. So tissue is interpolated once and stays sharp. Nothing here knows of slices, noise or hemorrhage.

HU at about 120 kVp. Grey 37-41, white 26-32, their difference 3-12 (Weinstein et al., Radiology 1977; Arimitsu et al.,
J Comput Assist Tomogr 1977); CSF 0-12 (Norman et al., Radiology 1977); muscle 45-65, fat -80 to -110 (Hounsfield, Br J
Radiol 1973); skull tables 1000-1900 with diploe of 300-900 between (thickness of the tables: Lillie et al., J Bone
Miner Res 2016).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulator.atlas import Atlas, load_atlas
from training.simulator.dura import lay_arteries, membranes, sinuses
from training.simulator.fields import Taps, smooth_field, spread, stream
from training.simulator.holder import Holder
from training.simulator.landmarks import Landmarks, smoothstep
from training.simulator.mimics import Mimics
from training.simulator.mimics.mimic import Inside, Nodes, Outside
from training.simulator.population import TRAINING, Population

Field = NDArray[np.float32]

WARP_GRID_MM = 4  # the inner warp is kept on this grid
SHAPE_GRID_MM = 32  # control points of the outer deformation
SHAPE_ORIGIN_MM = -160.0
SHAPE_POINTS = 12

Box = tuple[slice, slice, slice]


@dataclass(frozen=True)
class Tissue:
    """The HU of one head's tissues, and the mild physics that tells one head from the next."""

    grey: float
    white: float
    csf: float
    muscle: float
    fat: float
    cortical: float
    diploe: float
    petrous: float
    dura: float
    venous: float
    texture: float  # standard deviation of slow variation inside tissue, HU

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Tissue:
        """Return one head's values, wider than one scanner would show."""
        white = rng.uniform(25.5, 32.0)
        return cls(
            grey=float(np.clip(white + rng.uniform(4.0, 11.5), 34.0, 42.0)),
            white=white,
            csf=rng.uniform(1.0, 12.0),
            muscle=rng.uniform(45, 62),
            fat=rng.uniform(-112, -82),
            cortical=rng.uniform(1250, 1850),
            diploe=rng.uniform(350, 900),
            petrous=rng.uniform(1300, 1900),
            dura=rng.uniform(42, 62),
            venous=rng.uniform(42, 66),
            texture=rng.uniform(0.4, 1.3),
        )


@dataclass(frozen=True)
class Build:
    """How one head differs from the atlas apart from its HU."""

    mirrored: bool
    scale: tuple[float, float, float]  # z, y, x
    rotation_deg: tuple[float, float, float]  # pitch (chin down positive), yaw, roll
    shift_mm: tuple[float, float, float]  # z, y, x of the head in patient space
    atrophy: float  # -1 tight .. 1 wide sulci
    ventricles: float  # relative widening of the ventricles, 0 as the atlas
    skull_mm: float  # added to the skull's thickness, outward
    scalp_mm: float  # added to the scalp
    skin_mm: float
    table_mm: float  # thickness of the inner and outer tables
    holder: Holder | None

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Build:
        """Return one head's build."""
        size = rng.normal(1.0, 0.035)
        age = rng.beta(1.6, 1.6)
        return cls(
            mirrored=bool(rng.random() < 0.5),
            scale=(
                float(size * rng.normal(1, 0.025)),
                float(size * rng.normal(1, 0.03)),
                float(size * rng.normal(1, 0.03)),
            ),
            rotation_deg=(rng.normal(-2, 5), rng.normal(0, 4), rng.normal(0, 3)),
            shift_mm=(rng.normal(0, 4), rng.normal(0, 6), rng.normal(0, 5)),
            atrophy=float(np.clip(rng.normal(1.5 * age - 0.75, 0.3), -1, 1)),
            ventricles=float(np.clip(rng.normal(5 * age - 1.0, 1.2), -1.5, 6.0)),
            skull_mm=rng.uniform(-1.5, 2.2),
            scalp_mm=float(np.clip(rng.gamma(2.0, 0.9), 0.3, 4.5)),
            skin_mm=rng.uniform(1.5, 2.4),
            table_mm=rng.uniform(1.2, 2.2),
            holder=Holder.drawn(rng) if rng.random() < 0.65 else None,
        )


def rotation(pitch: float, yaw: float, roll: float) -> NDArray[np.float64]:
    """Return the matrix that turns (z, y, x) column vectors by the three angles in degrees."""
    p, w, r = np.deg2rad([pitch, yaw, roll])
    about_x = np.array([[np.cos(p), np.sin(p), 0], [-np.sin(p), np.cos(p), 0], [0, 0, 1]])
    about_z = np.array([[1, 0, 0], [0, np.cos(w), np.sin(w)], [0, -np.sin(w), np.cos(w)]])
    about_y = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    return np.asarray(about_z @ about_y @ about_x)


@dataclass(frozen=True)
class Anatomy:
    """One head without blood.

    Attributes
    ----------
    inner_warp: float32 [3, z, y, x] on `WARP_GRID_MM`: where the tissue seen at a place of the cavity comes from, mm to
        add to z, y, x of the atlas.
    """

    seed: int
    atlas: Atlas
    tissue: Tissue
    build: Build
    mimics: Mimics
    shape_coefficients: Field
    inner_warp: Field
    texture: Field = field(repr=False)

    @classmethod
    def drawn(cls, seed: int, population: Population = TRAINING, *, extra_pitch_deg: float = 0.0) -> Anatomy:
        """Return the head of this seed; `extra_pitch_deg` turns it against a tilted gantry."""
        atlas = load_atlas(population.anatomy)
        build = Build.drawn(stream(seed, "build"))
        pitch, yaw, roll = build.rotation_deg
        build = replace(build, rotation_deg=(pitch + extra_pitch_deg, yaw, roll))
        shape = stream(seed, "shape")
        coefficients = shape.standard_normal((3, SHAPE_POINTS, SHAPE_POINTS, SHAPE_POINTS), np.float32)
        coefficients *= np.float32(shape.uniform(4, 9))
        texture = smooth_field(stream(seed, "texture"), atlas.shape, 5)
        mimics = Mimics.drawn(seed, population.mimics)
        head = cls(
            seed=seed,
            atlas=atlas,
            tissue=mimics.thickened(Tissue.drawn(stream(seed, "tissue"))),
            build=build,
            mimics=mimics,
            shape_coefficients=coefficients,
            inner_warp=_drawn_warp(stream(seed, "gyri"), atlas, build.ventricles),
            texture=texture,
        )
        push = mimics.push(_nodes(atlas))
        return head if push is None else head.pushed(push)

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
    def fractions(self) -> tuple[Field, Field, Field]:
        """Grey matter, white matter and ventricle in `cavity_box`, warped and with this head's atrophy."""
        box = self.cavity_box
        grey, white, ventricle = (
            self.warped(part) for part in (self.atlas.grey, self.atlas.white, self.atlas.ventricle)
        )
        brain = grey + white
        around = ndimage.gaussian_filter(brain, 1.6)
        cavity = np.clip(0.5 - self.atlas.cavity_distance[box], 0, 1)
        atrophy = self.build.atrophy
        if atrophy > 0:
            kept = np.clip(1 - 1.1 * atrophy * (1 - around) * (1 - ventricle), 0, 1)
        else:
            wanted = np.clip(brain - 1.2 * atrophy * around**2 * (1 - ventricle), 0, 1)
            grey = grey + np.clip(wanted - brain, 0, 1)
            kept = np.ones_like(brain)
        kept *= cavity
        return grey * kept, white * kept, ventricle * cavity

    @cached_property
    def falx(self) -> Field:
        """Distance (mm) to the plane between the hemispheres in `cavity_box`, warped, positive to the right."""
        return self.warped_smooth(self.atlas.falx_distance)

    @cached_property
    def venous(self) -> Field:
        """How much of each voxel of `cavity_box` is dural sinus or lies about the sella."""
        grey, white, _ = self.fractions
        return np.asarray(np.minimum(self.warped(self.atlas.venous), 1 - grey - white), np.float32)

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

    def warped(self, volume: Field) -> Field:
        """Return an atlas volume as this head shows it, [Z, Y, X] of `cavity_box`; 0 outside the skull."""
        inside, coordinates = self._warp_coordinates
        out = np.zeros(inside.shape, np.float32)
        out[inside] = ndimage.map_coordinates(volume, coordinates, order=1, mode="nearest", output=np.float32)
        return out

    def warped_smooth(self, volume: Field) -> Field:
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

    def pushed(self, push: Field) -> Anatomy:
        """Return this head after a push: float32 [3, z, y, x] on `WARP_GRID_MM`, where tissue comes from, mm."""
        grid = np.stack(np.meshgrid(*(np.arange(n) for n in push.shape[1:]), indexing="ij")).astype(np.float32)
        source = grid + push / WARP_GRID_MM
        before = np.stack([ndimage.map_coordinates(w, source, order=1, mode="nearest") for w in self.inner_warp])
        return replace(self, inner_warp=before + push)

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
        atlas, tissue, build = self.atlas, self.tissue, self.build
        skull_distance = atlas.skull_distance - np.float32(build.skull_mm)
        head_distance = atlas.head_distance - np.float32(build.skull_mm + build.scalp_mm)
        swelling = self.mimics.lift(*atlas.mni())
        if swelling is not None:
            head_distance = head_distance - swelling
        head = np.clip(0.5 - head_distance, 0, 1)
        cavity = np.clip(0.5 - atlas.cavity_distance, 0, 1)
        bone = np.clip(np.clip(0.5 - skull_distance, 0, 1) - cavity, 0, 1)

        # Scalp and face: skin outside, fat under it, deep to that what the atlas shows (fat, muscle).
        fat = np.where(atlas.head_distance > -(build.skull_mm + 3.5), 0.9, atlas.fat)
        fat *= smoothstep((-head_distance - np.float32(build.skin_mm)) / 0.8) * smoothstep((skull_distance - 0.7) / 1.2)
        if swelling is not None:
            fat *= 1 - smoothstep(swelling / 2)
        out = np.float32(tissue.muscle) + fat * np.float32(tissue.fat - tissue.muscle)
        out += 4 * self.texture
        out += atlas.globe * np.float32(8 - tissue.muscle)
        out += atlas.bone * np.float32(0.55 * tissue.cortical)

        # Skull: two tables with diploe between where it is thick enough, dense petrous bone, mastoid cells.
        where = bone > 0
        inner, outer = atlas.cavity_distance[where], -skull_distance[where]
        spongy = smoothstep((np.minimum(inner, outer) - np.float32(build.table_mm)) / np.float32(1.2))
        z, y, x = np.nonzero(where)
        mni_z, mni_y, mni_x = (part.ravel() for part in atlas.mni())
        off_petrous = ((np.abs(mni_x[x]) - 34) / 18) ** 2 + ((mni_y[y] + 30) / 15) ** 2 + ((mni_z[z] + 38) / 12) ** 2
        petrous = np.exp(-0.5 * off_petrous**2)
        texture = self.texture[where]
        marrow = np.float32(tissue.diploe) * (1 + 0.25 * texture)
        dense = np.float32(tissue.cortical) * (1 + 0.05 * texture)
        hard = dense + spongy * (marrow - dense)
        hard += petrous * (np.float32(tissue.petrous) - hard) * 0.8
        cells = smooth_field(stream(self.seed, "mastoid"), atlas.shape, 2.2)[where]
        hollow = atlas.mastoid[where] * smoothstep(cells * 1.5 + np.float32(0.9))
        hard += hollow * (-950 - hard)
        out[where] += bone[where] * (hard - out[where])

        # Intracranial.
        box = self.cavity_box
        inside = self.intracranial if intracranial is None else intracranial
        out[box] += self.cavity * (inside - out[box])

        air = atlas.air * (1 - cavity)
        out += air * (-1000 - out)
        out = -1000 + head * (out + 1000)
        self.mimics.lay_outside(
            Outside(out, *atlas.mni(), atlas.cavity_distance, skull_distance, head_distance, tissue)
        )
        hardening = self.mimics.hardening(self.landmarks)
        if hardening is not None:
            out[box] += self.cavity * hardening
        return np.asarray(out, np.float32)

    @cached_property
    def landmarks(self) -> Landmarks:
        """Where the voxels of `cavity_box` lie."""
        atlas, box = self.atlas, self.cavity_box
        grey, white, _ = self.fractions
        z, y, x = (part[tuple(box[a] if part.shape[a] > 1 else slice(None) for a in range(3))] for part in atlas.mni())
        return Landmarks(
            z=z,
            y=y,
            x=x,
            depth=-atlas.cavity_distance[box],
            falx=self.falx,
            tentorium=self.warped_smooth(atlas.tentorium_distance),
            from_ventricle=self.warped_smooth(atlas.ventricle_distance),
            brain=grey + white,
            white=white,
            texture=self.texture[box],
        )

    @cached_property
    def intracranial(self) -> Field:
        """The HU of `cavity_box` as if all of it were inside the skull."""
        atlas, tissue, mimics, at = self.atlas, self.tissue, self.mimics, self.landmarks
        grey, white, ventricle = self.fractions
        to_grey = 0.75 * self.warped_smooth(atlas.deep_grey) * white
        out = np.float32(tissue.csf) + (grey + to_grey) * np.float32(tissue.grey - tissue.csf)
        out += (white - to_grey) * np.float32(tissue.white - tissue.csf)
        out += np.float32(tissue.texture) * at.texture * at.brain
        falx, tentorium = membranes(at)
        sinus = np.maximum(sinuses(at), self.venous)
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


def _nodes(atlas: Atlas) -> Nodes:
    """Return the nodes of the inner warp, as mimics that push the brain see them."""
    z, y, x = atlas.mni()
    lines = (at_warp_nodes(np.broadcast_to(line, atlas.shape)) for line in (z, y, x))
    distances = (at_warp_nodes(d) for d in (-atlas.cavity_distance, atlas.tentorium_distance, atlas.falx_distance))
    return Nodes(*lines, *distances)


def _drawn_warp(rng: np.random.Generator, atlas: Atlas, widening: float) -> Field:
    """Return a warp that shapes gyri and widens ventricles, still at the inner table."""
    shape = warp_shape(atlas)
    depth = -at_warp_nodes(np.asarray(atlas.cavity_distance))
    loose = smoothstep(depth / 14)
    amplitude = rng.uniform(1.5, 3.5)
    warp = np.stack([smooth_field(rng, shape, 4.0) * np.float32(amplitude) for _ in range(3)])
    warp += np.stack([smooth_field(rng, shape, 2.0) * np.float32(0.7) for _ in range(3)])
    # The falx holds the midline straight.
    beside = smoothstep(np.abs(at_warp_nodes(np.asarray(atlas.falx_distance))) / 20)
    warp[2] *= 0.15 + 0.85 * beside
    warp *= loose
    # Ventricles: their walls move out by `widening` mm, what is further moves less; each side a little its own way.
    distance = ndimage.gaussian_filter(at_warp_nodes(np.asarray(atlas.ventricle_distance)), 0.8)
    slope = np.stack(np.gradient(distance, WARP_GRID_MM)).astype(np.float32)
    slope /= np.maximum(np.sqrt((slope**2).sum(0)), 0.3)
    lopsided = 1 + 0.25 * smooth_field(rng, shape, 10.0)
    reach = np.where(distance > 0, np.exp(-np.maximum(distance, 0) / 14), np.clip(1 + distance / 6, 0, 1))
    mni_z = at_warp_nodes(np.broadcast_to(atlas.mni()[0], atlas.shape).astype(np.float32))
    above = smoothstep((mni_z + 16) / 10)
    warp -= slope * reach * np.float32(widening) * lopsided * loose * above
    return np.asarray(warp, np.float32)
