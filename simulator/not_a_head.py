# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a scanner may be sent that is not a head: other parts of the body and phantoms, as planes before the scanner.

Drawn from ellipses in mm, for a classifier that has to tell them from a head and for tests of refusals: nothing here is
anatomy that a reader would believe. HU are those of textbooks (fat -100, muscle 55, liver 60, lung -850, water 0).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from simulator.fields import stream

Field = NDArray[np.float32]

AIR_HU: Final = -1000.0
_FAT, _MUSCLE, _LUNG, _MARROW, _CORTEX = -100.0, 55.0, -850.0, 200.0, 900.0


class NotAHead(StrEnum):
    """What it is instead."""

    CHEST = "chest"
    ABDOMEN = "abdomen"
    PELVIS = "pelvis"
    LEGS = "legs"
    ARM = "arm"
    NECK = "neck"
    WATER_PHANTOM = "water-phantom"
    RESOLUTION_PHANTOM = "resolution-phantom"


PHANTOMS: Final = frozenset({NotAHead.WATER_PHANTOM, NotAHead.RESOLUTION_PHANTOM})


@dataclass(eq=False)
class _Plane:
    """One slice in the making: HU at the pixels' places in mm from the middle (x to the left, y to posterior)."""

    x: Field
    y: Field
    hu: Field = field(init=False)

    def __post_init__(self) -> None:
        self.hu = np.full(self.x.shape, AIR_HU, np.float32)

    def radius(
        self, centre: tuple[float, float], half: tuple[float, float], angle: float = 0.0, bumps: tuple[float, ...] = ()
    ) -> Field:
        """Return how far each pixel lies from the middle of an ellipse, 1 on its rim; `bumps` make the rim uneven."""
        radius = _radius(self.x, self.y, centre, half, angle)
        if bumps:
            dx, dy = self.x - np.float32(centre[0]), self.y - np.float32(centre[1])
            around = np.arctan2(dy / np.float32(half[1]), dx / np.float32(half[0]))
            wave = sum(amount * np.cos((order // 2 + 2) * around + order * 1.7) for order, amount in enumerate(bumps))
            radius = radius / (1 + np.asarray(wave, np.float32))
        return np.asarray(radius, np.float32)

    def fill(self, radius: Field, hu: float, within: float = 1.0) -> None:
        """Set what lies within `within` of an ellipse."""
        self.hu[radius < within] = hu

    def disc(self, centre: tuple[float, float], half: tuple[float, float], hu: float, angle: float = 0.0) -> None:
        """Fill an ellipse."""
        window = self._window(centre, half)
        self.hu[window][_radius(self.x[window], self.y[window], centre, half, angle) < 1] = hu

    def bone(
        self, centre: tuple[float, float], half: tuple[float, float], wall: float = 0.25, angle: float = 0.0
    ) -> None:
        """Fill an ellipse with marrow in a wall of cortex."""
        self.disc(centre, half, _CORTEX, angle)
        self.disc(centre, ((1 - wall) * half[0], (1 - wall) * half[1]), _MARROW, angle)

    def _window(self, centre: tuple[float, float], half: tuple[float, float]) -> tuple[slice, slice]:
        """Return the rows and columns that an ellipse can reach, however it is turned."""
        reach = max(half)
        y0, y1 = np.searchsorted(self.y[:, 0], (centre[1] - reach, centre[1] + reach))
        x0, x1 = np.searchsorted(self.x[0], (centre[0] - reach, centre[0] + reach))
        return slice(int(y0), int(y1)), slice(int(x0), int(x1))


def _radius(x: Field, y: Field, centre: tuple[float, float], half: tuple[float, float], angle: float) -> Field:
    """Return how far each place lies from the middle of an ellipse, 1 on its rim."""
    dx, dy = x - np.float32(centre[0]), y - np.float32(centre[1])
    cos, sin = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return np.hypot((dx * cos + dy * sin) / np.float32(half[0]), (dy * cos - dx * sin) / np.float32(half[1]))


def field_mm(kind: NotAHead, rng: np.random.Generator) -> float:
    """Return a field of view in which such a thing is scanned, mm."""
    low, high = {
        NotAHead.CHEST: (320, 480),
        NotAHead.ABDOMEN: (320, 480),
        NotAHead.PELVIS: (340, 480),
        NotAHead.LEGS: (240, 420),
        NotAHead.ARM: (120, 260),
        NotAHead.NECK: (150, 260),
    }.get(kind, (210, 300))
    return float(rng.uniform(low, high))


def noise_free(
    kind: NotAHead | str,
    seed: int,
    *,
    slices: int,
    spacing_mm: float = 5.0,
    matrix: int = 512,
    pixel_mm: float | None = None,
    agent_hu: float = 0.0,
) -> tuple[Field, float]:
    """Return planes [slices, matrix, matrix] in HU of a thing that is no head, and the distance of their pixels, mm.

    Parameters
    ----------
    kind, seed: what it is, and which one.
    slices, spacing_mm: planes from the feet up.
    pixel_mm: distance of pixels; by default that of a field of view in which such a thing is scanned.
    agent_hu: HU that contrast agent adds to vessels.
    """
    kind = NotAHead(kind)
    rng = stream(seed, f"not a head: {kind}")
    drawn_pixel = field_mm(kind, rng) / matrix
    pixel = pixel_mm or drawn_pixel
    at = ((np.arange(matrix) - (matrix - 1) / 2) * pixel).astype(np.float32)
    x, y = np.meshgrid(at - np.float32(rng.normal(0, 8)), at - np.float32(rng.normal(0, 8)))
    part = _Part(rng, agent_hu)
    planes = np.empty((slices, matrix, matrix), np.float32)
    for z in range(slices):
        plane = _Plane(x, y)
        _DRAWN[kind](plane, part, z * spacing_mm)
        planes[z] = plane.hu
    return planes, float(pixel)


class _Part:
    """The numbers of one thing: each is drawn when first asked for, and stays the same on all its slices."""

    def __init__(self, rng: np.random.Generator, agent_hu: float) -> None:
        self._rng = rng
        self._numbers: dict[str, float] = {}
        self.blood_hu = 45 + agent_hu
        self.table = bool(rng.random() < 0.7)

    def __call__(self, name: str, low: float, high: float) -> float:
        """Return the number called `name`, between `low` and `high`."""
        if name not in self._numbers:
            self._numbers[name] = float(self._rng.uniform(low, high))
        return self._numbers[name]

    def bumps(self, name: str, amount: float = 0.03) -> tuple[float, ...]:
        """Return what makes a rim uneven."""
        return tuple(self(f"{name} bump {order}", -amount, amount) for order in range(6))

    def wave(self, name: str, z: float, amount: float) -> float:
        """Return a number that goes slowly up and down along the body."""
        return amount * float(np.sin(z / self(f"{name} length", 25, 60) + self(f"{name} phase", 0, 6.3)))


def _trunk(plane: _Plane, part: _Part, z: float) -> tuple[float, float]:
    """Draw the outline of a trunk with its spine; return its half width and half depth within the fat, mm."""
    wide, deep = part("width", 130, 200) + part.wave("width", z, 6), part("depth", 85, 140) + part.wave("depth", z, 5)
    if part.table:
        plane.hu[np.abs(plane.y - (deep + 22) - (plane.x / 140) ** 2 * -8) < 3] = -200.0
    outline = plane.radius((0, 0), (wide, deep), bumps=part.bumps("trunk"))
    fat = part("fat", 0.04, 0.2)
    plane.fill(outline, _FAT + part("fat hu", -12, 12))
    plane.fill(outline, _MUSCLE + part("muscle hu", -8, 8), 1 - fat)
    plane.disc((-35, 0.66 * deep), (24, 16), _MUSCLE)
    plane.disc((35, 0.66 * deep), (24, 16), _MUSCLE)
    back = 0.52 * deep
    plane.bone((0, back), (part("body", 18, 25), part("body", 18, 25) * 0.75), 0.15)
    plane.disc((0, back + 23), (10, 8), 20)
    plane.bone((0, back + 42), (4, 14), 0.5)
    for side in (-1, 1):
        plane.bone((side * 22, back + 28), (16, 4), 0.5, angle=side * 0.4)
    return wide * (1 - fat), deep * (1 - fat)


def _chest(plane: _Plane, part: _Part, z: float) -> None:
    wide, deep = _trunk(plane, part, z)
    for side in (-1, 1):
        lung = plane.radius(
            (side * 0.47 * wide, -0.05 * deep), (0.36 * wide, 0.68 * deep), bumps=part.bumps(f"lung {side}")
        )
        plane.fill(lung, _LUNG + part("lung hu", -60, 90))
        for vessel in range(24):
            angle, out = part(f"v{side}{vessel}", 0, 6.28), part(f"o{side}{vessel}", 0.1, 0.85)
            turn = part.wave(f"t{side}{vessel}", z, 0.5)
            centre = (
                side * 0.47 * wide + out * 0.34 * wide * np.cos(angle + turn),
                out * 0.6 * deep * np.sin(angle + turn),
            )
            size = part(f"s{side}{vessel}", 1, 4.5)
            plane.disc((float(centre[0]), float(centre[1])), (size, size), part.blood_hu)
        for rib in range(7):
            angle = -1.2 + 0.42 * rib + part.wave("ribs", z, 0.3)
            centre = (float(side * 0.92 * wide * np.cos(angle)), float(0.92 * deep * np.sin(angle)))
            plane.bone(centre, (10, 4), 0.4, angle=float(np.arctan2(centre[1], centre[0]) + np.pi / 2))
    heart = plane.radius((0.12 * wide, -0.28 * deep), (0.33 * wide, 0.36 * deep), bumps=part.bumps("heart"))
    plane.fill(heart, part.blood_hu)
    plane.disc((18, 0.28 * deep), (12, 12), part.blood_hu)
    plane.disc((0, -0.02 * deep), (8, 8), AIR_HU)
    plane.bone((0, -0.95 * deep), (18, 5), 0.4)


def _abdomen(plane: _Plane, part: _Part, z: float) -> None:
    wide, deep = _trunk(plane, part, z)
    cavity = plane.radius((0, -0.18 * deep), (0.82 * wide, 0.68 * deep))
    plane.fill(cavity, _FAT)
    liver = plane.radius(
        (-0.42 * wide, -0.2 * deep), (0.42 * wide, 0.55 * deep + part.wave("liver", z, 14)), bumps=part.bumps("liver")
    )
    plane.fill(np.maximum(liver, cavity), 60 + part("liver hu", -15, 10) + 0.2 * (part.blood_hu - 45))
    plane.disc((0.62 * wide, 0.1 * deep), (0.17 * wide, 0.3 * deep), 50 + 0.3 * (part.blood_hu - 45), angle=0.4)
    for side in (-1, 1):
        kidney = plane.radius((side * 0.42 * wide, 0.32 * deep), (26, 32), side * 0.5)
        plane.fill(kidney, 35 + 0.5 * (part.blood_hu - 45))
        plane.fill(kidney, _FAT, 0.35)
    for loop in range(12):
        centre = (
            part(f"lx{loop}", -0.3, 0.6) * wide + part.wave(f"lx{loop}", z, 12),
            part(f"ly{loop}", -0.7, 0.1) * deep + part.wave(f"ly{loop}", z, 9),
        )
        size = part(f"ls{loop}", 9, 22)
        plane.disc(centre, (size, 0.8 * size), 30)
        if loop % 3 == 0:
            plane.disc((centre[0], centre[1] - 0.3 * size), (0.7 * size, 0.4 * size), -900)
    plane.disc((10, 0.27 * deep), (10, 10), part.blood_hu)
    plane.disc((-12, 0.27 * deep), (11, 8), part.blood_hu)


def _pelvis(plane: _Plane, part: _Part, z: float) -> None:
    wide, deep = _trunk(plane, part, z)
    plane.fill(plane.radius((0, -0.15 * deep), (0.55 * wide, 0.55 * deep)), _FAT)
    plane.disc((0, -0.25 * deep), (35, 28 + part.wave("bladder", z, 9)), 8)
    plane.disc((0, 0.2 * deep), (20, 16), 35)
    for side in (-1, 1):
        plane.bone((side * 0.58 * wide, 0.12 * deep), (0.12 * wide, 0.42 * deep), 0.2, angle=-side * 0.7)
        plane.bone((side * 0.66 * wide, -0.05 * deep), (25, 25), 0.12)
        plane.disc((side * 0.4 * wide, -0.45 * deep), (6, 6), part.blood_hu)


def _legs(plane: _Plane, part: _Part, z: float) -> None:
    size = part("leg", 55, 85) + 0.06 * z
    apart = size * part("apart", 1.02, 1.4)
    for side in (-1, 1):
        outline = plane.radius((side * apart, 0), (size, size * 1.05), bumps=part.bumps(f"leg {side}"))
        plane.fill(outline, _FAT)
        plane.fill(outline, _MUSCLE, 1 - part("leg fat", 0.08, 0.3))
        for sector in range(5):
            angle = part(f"sector {sector}", 0, 6.28)
            plane.disc(
                (side * apart + 0.4 * size * float(np.cos(angle)), 0.4 * size * float(np.sin(angle))),
                (0.35 * size, 2),
                _FAT,
                angle,
            )
        plane.bone((side * apart + part("off", -8, 8), part("off y", -10, 10)), (15, 15), part("shaft", 0.25, 0.5))
        plane.disc((side * (apart - 25), 18), (4, 4), part.blood_hu)


def _arm(plane: _Plane, part: _Part, z: float) -> None:
    size = part("arm", 30, 55) + 0.05 * z
    outline = plane.radius((0, 0), (size, size * part("flat", 0.7, 1.0)), bumps=part.bumps("arm", 0.05))
    plane.fill(outline, _FAT)
    plane.fill(outline, _MUSCLE, 1 - part("arm fat", 0.06, 0.25))
    if part("forearm", 0, 1) < 0.6:
        for side in (-1, 1):
            plane.bone((side * 0.4 * size, part(f"bone {side}", -6, 6)), (8, 8), 0.4)
    else:
        plane.bone((part("bone x", -8, 8), 0), (12, 12), 0.4)


def _neck(plane: _Plane, part: _Part, z: float) -> None:
    wide, deep = part("width", 55, 80) + 0.1 * part.wave("width", z, 20), part("depth", 55, 75)
    outline = plane.radius((0, 0), (wide, deep), bumps=part.bumps("neck"))
    plane.fill(outline, _FAT)
    plane.fill(outline, _MUSCLE, 1 - part("neck fat", 0.04, 0.14))
    back = 0.15 * deep
    plane.bone((0, back), (13, 10), 0.2)
    plane.disc((0, back + 17), (12, 9), 30)
    plane.bone((0, back + 34), (4, 10), 0.5)
    for side in (-1, 1):
        plane.bone((side * 18, back + 8), (9, 7), 0.35)
        plane.disc((side * 0.48 * wide, -0.1 * deep), (4.5, 4.5), part.blood_hu)
        plane.disc((side * 0.6 * wide, -0.05 * deep), (7, 5), part.blood_hu)
        plane.disc((side * 0.35 * wide, 0.62 * deep), (0.3 * wide, 3), _FAT, angle=side * 0.5)
        plane.disc((side * 20, -0.5 * deep), (9, 14), 60 + part("thyroid", 0, 60))
    plane.disc((0, -0.48 * deep), (10 + part.wave("airway", z, 3), 9), AIR_HU)


def _water_phantom(plane: _Plane, part: _Part, _z: float) -> None:
    size = part("radius", 75, 110)
    radius = plane.radius((0, 0), (size, size))
    plane.fill(radius, part("wall", 50, 150))
    plane.fill(radius, part("water", -4, 4), 1 - part("wall mm", 3, 9) / size)


def _resolution_phantom(plane: _Plane, part: _Part, z: float) -> None:
    size = part("radius", 75, 110)
    plane.disc((0, 0), (size, size), part("ground", -10, 100))
    if part("module", 0, 1) + 0.004 * z % 1 < 0.5:  # bars, ever finer, around the middle
        for group in range(8):
            angle, period = 6.28 * group / 8 + part("turn", 0, 6.28), 6.0 / (group + 1.5)
            cx, cy = 0.6 * size * np.cos(angle), 0.6 * size * np.sin(angle)
            u = (plane.x - cx) * np.cos(angle) + (plane.y - cy) * np.sin(angle)
            v = (plane.y - cy) * np.cos(angle) - (plane.x - cx) * np.sin(angle)
            bars = (np.abs(u) < 9) & (np.abs(v) < 2.5 * period) & (np.mod(v, period) < period / 2)
            plane.hu[bars] = part("bars", 500, 2000)
    else:
        for insert, hu in enumerate((-1000.0, -100.0, -35.0, 100.0, 340.0, 990.0)):
            angle = 6.28 * insert / 6 + part("turn", 0, 6.28)
            place = (float(0.6 * size * np.cos(angle)), float(0.6 * size * np.sin(angle)))
            plane.disc(place, (part("insert", 5, 13), part("insert", 5, 13)), hu)


_DRAWN: Final[dict[NotAHead, Callable[[_Plane, _Part, float], None]]] = {
    NotAHead.CHEST: _chest,
    NotAHead.ABDOMEN: _abdomen,
    NotAHead.PELVIS: _pelvis,
    NotAHead.LEGS: _legs,
    NotAHead.ARM: _arm,
    NotAHead.NECK: _neck,
    NotAHead.WATER_PHANTOM: _water_phantom,
    NotAHead.RESOLUTION_PHANTOM: _resolution_phantom,
}
