# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The forms of extra-axial collections, one small class each: on which wall one lies, where, how long and how thick.

Depth and length are those that scans show for a volume. Guidelines operate on acute subdural hematomas from 10 mm on,
and on epidural ones from 15 mm or 30 mL (Bullock et al., Neurosurgery 2006); half of depth times length times height is
the volume of either, within some percent (Gebel et al., Stroke 1998; doi:10.7717/peerj.1921). So a crescent along the
vault is at its deepest about 5 mm at 3 mL, 9 at 15, 13 at 40 and 17 at 90: it is even for most of its length and ends
within the last quarter.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.blood.form import Form
from simulator.fields import smooth_field
from simulator.landmarks import smoothstep
from simulator.warp import at_warp_nodes

Field = NDArray[np.float32]

_CROSSING_RATE = 0.1  # of epidural collections: the suture itself is broken (Huisman & Tschirch, J Neuroradiol 2009)
_HELD_MM = 1.5  # dura holds to the bone this near to a suture
_BLUNT_MM = 15.0


@dataclass(frozen=True)
class Room:
    """What a collection finds on its side of a head, [Z, Y, X] of the cavity box: MNI z, y, x and distances, mm.

    Attributes
    ----------
    side: +1 where MNI x is positive, -1 on the other side.
    """

    anatomy: Anatomy
    side: float

    @cached_property
    def lines(self) -> tuple[Field, Field, Field]:
        """MNI z, y, x, broadcastable."""
        z, y, x = self.anatomy.atlas.mni()
        bz, by, bx = self.anatomy.cavity_box
        return z[bz], y[:, by], x[:, :, bx]

    @cached_property
    def depth(self) -> Field:
        """How far inside the inner table."""
        return np.asarray(-self.anatomy.atlas.cavity_distance[self.anatomy.cavity_box])

    @cached_property
    def falx(self) -> Field:
        """How far from the falx, positive on the collection's side."""
        return self.anatomy.falx * np.float32(self.side)

    @cached_property
    def tentorium(self) -> Field:
        """How far above the tentorium."""
        return np.asarray(self.anatomy.atlas.tentorium_distance[self.anatomy.cavity_box])

    def on_vault(self, y: float, z: float, *, from_sutures_mm: float = 0.0) -> tuple[int, int, int]:
        """Return the voxel of the vault on this side next to a place, and off the sutures where asked for."""
        bz, by, _ = self.lines
        off = np.abs(self.depth) + 0.7 * np.abs(by - np.float32(y)) + 0.7 * np.abs(bz - np.float32(z))
        off = off + np.where(self.falx < 10, 99, 0)
        if from_sutures_mm:
            off = off + np.where(self.anatomy.suture_distance < from_sutures_mm, 20, 0)
        pz, py, px = np.unravel_index(int(np.argmin(off)), self.depth.shape)
        return int(pz), int(py), int(px)

    def away(self, place: tuple[int, int, int]) -> tuple[Field, Field, Field]:
        """Return how far each voxel lies from one of them along z, y and x, broadcastable."""
        z, y, x = self.lines
        return z - z[place[0]], y - y[:, place[1]], x - x[:, :, place[2]]


@dataclass(frozen=True)
class Collection(ABC):
    """An extra-axial collection as it is drawn for a head, its volume open.

    Attributes
    ----------
    thickness_mm: at size 1, in the middle.
    half_mm: half its length and height at size 1.
    longest: the relative length at which only the thickness goes on growing.
    """

    thickness_mm: float
    half_mm: tuple[float, float]
    longest: float

    leans: ClassVar[bool] = True
    """Whether it shifts the midline."""

    def wall(self, room: Room) -> Field:
        """Return how far (mm) each voxel [Z, Y, X] lies from the wall that it lies on."""
        return room.depth

    def off_wall(self, room: Room) -> Field:
        """Return the same on the warp's grid, [z, y, x] of the atlas, in any unit: its slope points to the wall."""
        return -at_warp_nodes(np.asarray(room.anatomy.atlas.cavity_distance))

    @abstractmethod
    def spot(self, room: Room) -> Field:
        """Return the squared distance from its middle along the wall, relative to its half length at size 1."""

    @abstractmethod
    def waves(self, room: Room, rng: np.random.Generator) -> Field:
        """Return how its thickness varies, about 1."""

    @abstractmethod
    def extent(self, room: Room) -> Field:
        """Return where such a collection goes, 0 to 1."""

    def middle_mm(self, size: float) -> float:
        """Return the thickness in the middle: a small crescent is short rather than as thin as paper."""
        length = min(size, self.longest)
        return float(self.thickness_mm * length**0.85 * max(1.0, size / self.longest) ** 3)

    def profile(self, spot: Field) -> Field:
        """Return the relative thickness where `spot`, relative to the present length, is this."""
        return np.asarray(np.power(np.maximum(0, 1 - spot), np.float32(0.5)))

    def outward(self, room: Room) -> Field:
        """Return the direction towards the wall, float32 [3, z, y, x] on the warp's grid."""
        return -np.stack(np.gradient(ndimage.gaussian_filter(self.off_wall(room), 1)))


@dataclass(frozen=True)
class Epidural(Collection):
    """A lens that strips the dura off the bone of one plate of the skull."""

    place: tuple[int, int, int]
    crosses: bool

    @classmethod
    def draw(cls, room: Room, rng: np.random.Generator) -> Epidural:
        """Return one anywhere on the vault, under a fracture where there is one."""
        y, z = rng.uniform(-65, 55), rng.uniform(-12, 50)
        fracture = room.anatomy.mimics.fracture
        if fracture is not None and fracture.side == room.side:
            z, y, _ = fracture.place
        half = float(rng.uniform(27, 36))
        place = room.on_vault(float(y), float(z), from_sutures_mm=9)
        return cls(half * float(rng.uniform(0.42, 0.7)), (half, half), 1.7, place, bool(rng.random() < _CROSSING_RATE))

    def spot(self, room: Room) -> Field:
        """Return it along the wall alone: counted with its depth, a lens would be flat where it should bulge."""
        dz, dy, dx = room.away(self.place)
        along = np.maximum(dz**2 + dy**2 + dx**2 - np.maximum(room.depth, 0) ** 2, 0)
        return np.asarray(along / np.float32(self.half_mm[0] ** 2))

    def waves(self, room: Room, rng: np.random.Generator) -> Field:
        """Return little variation."""
        return 1 + np.float32(0.06) * smooth_field(rng, room.depth.shape, 14)

    def extent(self, room: Room) -> Field:
        """Return the bone between its sutures, or the vault where a suture is broken."""
        vault = _vault(room)
        if self.crosses:
            return vault
        near = (self.spot(room) < self.longest**2) & (room.depth < 25)
        return vault * _plate(room.anatomy.suture_distance, self.place, near)

    def middle_mm(self, size: float) -> float:
        """Return the thickness in the middle: a small lens has the shape of a large one."""
        return self.thickness_mm * size if size < 1 else super().middle_mm(size)

    def profile(self, spot: Field) -> Field:
        """Return the bulge of a lens."""
        return np.asarray(np.maximum(0, 1 - spot))


@dataclass(frozen=True)
class Convexity(Collection):
    """A crescent between dura and brain along the vault of one hemisphere."""

    place: tuple[int, int, int]

    @classmethod
    def draw(cls, room: Room, rng: np.random.Generator) -> Convexity:
        """Return one over the side of the hemisphere, further in front or behind."""
        place = room.on_vault(float(rng.uniform(-30, 25)), float(rng.uniform(10, 42)))
        half = (float(rng.uniform(46, 72)), float(rng.uniform(30, 44)))
        return cls(float(rng.uniform(11.5, 17.5)), half, 1.2, place)

    def spot(self, room: Room) -> Field:
        """Return it by height and along the head: the wall itself bends inwards."""
        dz, dy, dx = room.away(self.place)
        half_y, half_z = (np.float32(half) for half in self.half_mm)
        return np.asarray(dy**2 / half_y**2 + dz**2 / half_z**2 + 0 * dx)

    def waves(self, room: Room, rng: np.random.Generator) -> Field:
        """Return waves that follow the gyri under it."""
        shape = room.depth.shape
        waves = 1 + 0.2 * smooth_field(rng, shape, 18) + 0.06 * smooth_field(rng, shape, 7)
        return np.asarray(np.clip(waves, 0.3, 1.7), np.float32)

    def extent(self, room: Room) -> Field:
        """Return the vault on this side."""
        return _vault(room)

    def profile(self, spot: Field) -> Field:
        """Return an even depth that ends within the last quarter of the length."""
        return np.asarray(np.power(np.maximum(0, 1 - spot), np.float32(0.42)))


@dataclass(frozen=True)
class Falx(Collection):
    """A band along one side of the falx, in front or behind."""

    centre: tuple[float, float]  # MNI y, z, mm

    @classmethod
    def draw(cls, _room: Room, rng: np.random.Generator) -> Falx:
        """Return one in front or behind, half each."""
        front = rng.random() < 0.5
        y, z = (rng.uniform(25, 50), rng.uniform(5, 45)) if front else (rng.uniform(-75, -35), rng.uniform(20, 55))
        half = (float(rng.uniform(32, 50)), float(rng.uniform(24, 36)))
        return cls(float(rng.uniform(4.5, 7.5)), half, 1.15, (float(y), float(z)))

    def wall(self, room: Room) -> Field:
        """Return the distance from the falx."""
        return room.falx

    def off_wall(self, room: Room) -> Field:
        """Return the distance from the midline plane on this side."""
        return np.float32(room.side) * at_warp_nodes(np.asarray(room.anatomy.atlas.falx_distance))

    def spot(self, room: Room) -> Field:
        """Return it within the falx's plane."""
        z, y, x = room.lines
        (cy, cz), (half_y, half_z) = self.centre, self.half_mm
        return np.asarray(
            ((y - np.float32(cy)) / np.float32(half_y)) ** 2 + ((z - np.float32(cz)) / np.float32(half_z)) ** 2 + 0 * x
        )

    def waves(self, room: Room, rng: np.random.Generator) -> Field:
        """Return gentle ones."""
        return np.asarray(np.clip(1 + 0.25 * smooth_field(rng, room.depth.shape, 12), 0.3, 2), np.float32)

    def extent(self, room: Room) -> Field:
        """Return the height of the falx, above the corpus callosum and near the vault."""
        z, y, _ = room.lines
        lowest = np.where(y > 20, -10.0, np.where(y < -40, 4.0, 34.0)).astype(np.float32)
        allowed = smoothstep((z - lowest) / 6) * smoothstep((38 - room.depth) / 8)
        allowed = allowed * smoothstep((room.tentorium - 2) / 4)
        return allowed * smoothstep((room.anatomy.warp_smooth(room.anatomy.atlas.ventricle_distance) - 5) / 5)


@dataclass(frozen=True)
class Tentorium(Collection):
    """A layer on one leaf of the tentorium."""

    centre: tuple[float, float]  # MNI y, x, mm
    leans: ClassVar[bool] = False

    @classmethod
    def draw(cls, room: Room, rng: np.random.Generator) -> Tentorium:
        """Return one on the leaf of this side."""
        half = float(rng.uniform(26, 38))
        x, y = room.side * float(rng.uniform(22, 40)), float(rng.uniform(-65, -45))
        return cls(float(rng.uniform(3.5, 6.5)), (half, half), 1.15, (y, x))

    def wall(self, room: Room) -> Field:
        """Return the height over the tentorium."""
        return room.tentorium

    def off_wall(self, room: Room) -> Field:
        """Return the same."""
        return at_warp_nodes(np.asarray(room.anatomy.atlas.tentorium_distance))

    def spot(self, room: Room) -> Field:
        """Return it seen from above."""
        z, y, x = room.lines
        cy, cx = (np.float32(c) for c in self.centre)
        return np.asarray(((y - cy) ** 2 + (x - cx) ** 2) / np.float32(self.half_mm[0] ** 2) + 0 * z)

    def waves(self, room: Room, rng: np.random.Generator) -> Field:
        """Return gentle ones."""
        return np.asarray(np.clip(1 + 0.2 * smooth_field(rng, room.depth.shape, 12), 0.3, 2), np.float32)

    def extent(self, room: Room) -> Field:
        """Return the leaf behind and beside the incisura."""
        z, y, x = room.lines
        incisura = smoothstep((np.abs(x) - 16) / 8 + np.maximum(0, (-48 - y) / 8))
        behind = incisura * smoothstep((-26 - y) / 8) * smoothstep((24 - z) / 6)
        return np.asarray(behind * smoothstep((room.falx - 1) / 3))


COLLECTIONS: dict[Form, type[Epidural | Convexity | Falx | Tentorium]] = {
    Form.EPIDURAL: Epidural,
    Form.CONVEXITY: Convexity,
    Form.FALX: Falx,
    Form.TENTORIUM: Tentorium,
}


def _vault(room: Room) -> Field:
    """Return the vault of the room's side above the tentorium, 0 to 1, [Z, Y, X]."""
    above = smoothstep((room.falx - 3) / 6) * smoothstep((room.tentorium - 1) / 3)
    return np.asarray(above * smoothstep((room.lines[0] + 38) / 8))


def _plate(from_suture: Field, start: tuple[int, int, int], near: NDArray[np.bool_]) -> Field:
    """Return how much of each voxel [Z, Y, X] lies under the bone of `start`, between its sutures."""
    half = (slice(None, None, 2),) * 3
    within = (near & (from_suture > _HELD_MM))[half]
    pieces, _ = ndimage.label(within)
    there = pieces[tuple(i // 2 for i in start)]
    plate = pieces == there if there else within
    for axis, size in enumerate(from_suture.shape):
        plate = np.take(plate, np.minimum(np.arange(size) // 2, plate.shape[axis] - 1), axis)
    # The lens is blunt there, but not cut off.
    return np.asarray(plate * np.sqrt(np.clip((from_suture - _HELD_MM) / _BLUNT_MM, 0, 1)), np.float32)
