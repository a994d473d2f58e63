# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Tumours: masses in the brain with oedema, and meningiomas on the dura.

Gliomas and metastases are darker than brain or like it, necrotic within, with oedema that follows the white matter;
calcium lies in most oligodendrogliomas (Engelhard et al., Surg Neurol 2002). Meningiomas are as dense as brain or
denser, even, sharp and broad on the dura (New et al., Radiology 1980, who found 85 % of them without contrast agent);
42 % of the benign ones hold calcium (Dufresne & Bedard, Can Assoc Radiol J 1996), a fifth of those drawn here. MRI
finds tumours in 1.2 % of unselected brains, meningiomas in 0.5 % (Sunny et al., Acta Neurochir 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.landmarks import smoothstep
from simulator.mimics.mimic import Inside, Mimic, Nodes, Point


def _oedema(inside: Inside, centre: Point, radius: float, hu: float, reach: float) -> None:
    """Darken the white matter around a ball, in fingers that stop at the cortex."""
    at = inside.at
    box, distance = inside.along((centre,), radius + 2.5 * reach + 4)
    beyond = np.maximum(distance - np.float32(radius), 0) * (1 + 0.35 * at.texture[box])
    near = smoothstep((np.float32(1.4 * reach) - beyond) / np.float32(reach) + 0.3)
    same = smoothstep(np.float32(np.sign(centre[2])) * at.falx[box] / 3) * smoothstep(
        at.tentorium[box] / 3 * np.sign(centre[0] + 22)
    )
    inside.hu[box] -= np.float32(hu) * near * same * at.white[box]


@dataclass(frozen=True)
class BrainTumour(Mimic):
    """A mass at an MNI point (z, y, x): radius in mm, HU of its rim and of its core (of `core` of its radius).

    `oedema_hu` is taken from the white matter within about `oedema_mm`; `calcium` holds clumps: place relative to the
    radius, radius in mm, and HU.
    """

    centre: Point
    radius_mm: float
    rim_hu: float
    core_hu: float
    core: float
    oedema_hu: float
    oedema_mm: float
    calcium: tuple[tuple[Point, float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> BrainTumour:
        """Return one, calcified once in five."""
        radius = float(rng.uniform(6, 22))
        side = float(rng.choice([-1, 1]))
        centre = (float(rng.uniform(0, 40)), float(rng.uniform(-60, 45)), side * float(rng.uniform(24, 42)))
        if rng.random() < 0.15:
            radius, centre = min(radius, 13), (-38.0, float(rng.uniform(-72, -52)), side * float(rng.uniform(16, 32)))
        clumps = []
        if rng.random() < 0.2:
            hu = float(rng.uniform(60, 350))
            for _ in range(int(rng.integers(2, 8))):
                z, y, x = (float(v) for v in rng.uniform(-0.5, 0.5, 3))
                clumps.append(((z, y, x), float(rng.uniform(1.0, 3.0)), hu * float(rng.uniform(0.4, 1))))
        return cls(
            centre=centre,
            radius_mm=radius,
            rim_hu=float(rng.uniform(29, 44)),
            core_hu=float(rng.uniform(12, 30)),
            core=float(rng.uniform(0.0, 0.75)),
            oedema_hu=float(rng.uniform(4, 13)),
            oedema_mm=float(rng.uniform(4, 22)),
            calcium=tuple(clumps),
        )

    def push(self, nodes: Nodes) -> np.ndarray:
        """Return how the brain gives way."""
        return nodes.away(self.centre, self.radius_mm, 0.45)

    def lay_in_brain(self, inside: Inside) -> None:
        """Put the mass and its oedema into the brain."""
        centre = inside.locate(self.centre)
        _oedema(inside, centre, self.radius_mm, self.oedema_hu, self.oedema_mm)
        box, distance = inside.along((centre,), 1.6 * self.radius_mm + 4)
        at = inside.at
        ragged = np.float32(self.radius_mm) * (1 + 0.18 * at.texture[box])
        share = smoothstep((ragged - distance) / 2.5 + 0.5) * np.clip(1 - inside.ventricle[box], 0, 1)
        core = smoothstep((np.float32(self.core) * ragged - distance) / 3 + 0.5) if self.core > 0.2 else 0.0
        hu = np.float32(self.rim_hu) + core * np.float32(self.core_hu - self.rim_hu) + at.texture[box]
        inside.blend(box, share * np.clip(at.depth[box], 0, 1), hu)

    def lay_over_dura(self, inside: Inside) -> None:
        """Add its calcium."""
        z, y, x = self.centre
        r = self.radius_mm
        inside.add_most(
            inside.ball((z + dz * r, y + dy * r, x + dx * r), radius, hu, ragged=0.5)
            for (dz, dy, dx), radius, hu in self.calcium
        )


@dataclass(frozen=True)
class Meningioma(Mimic):
    """A dense mass with a broad base on the vault, the falx or the sphenoid wing.

    Attributes
    ----------
    direction: from the head's middle to its base on the skull; of a falx meningioma, to above it.
    from_falx: it lies on the falx, on the side of the direction's x.
    radius_mm, flat: half its width, and its height relative to that.
    hu: of the mass, even.
    oedema_hu, oedema_mm: taken from the white matter around, and how far; 0 where there is none.
    calcium_hu: of specks within, 0 where there are none.
    """

    direction: Point
    from_falx: bool
    radius_mm: float
    flat: float
    hu: float
    oedema_hu: float
    oedema_mm: float
    calcium_hu: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Meningioma:
        """Return one."""
        side, place = float(rng.choice([-1, 1])), rng.random()
        from_falx = bool(place < 0.25)
        if place < 0.75:
            around, up = float(rng.uniform(-2.2, 1.1)), float(rng.uniform(0.1, 1.2))
            direction = (
                float(np.sin(up)),
                float(np.cos(up) * np.sin(around)),
                side * float(np.cos(up) * np.cos(around)),
            )
            if from_falx:
                turn = float(rng.uniform(0.6, 2.5))
                direction = (float(np.sin(turn)), float(np.cos(turn)), side * 0.1)
        else:
            direction = (-0.42, 0.62, side * 0.66)  # sphenoid wing
        oedema = rng.random() < 0.5
        return cls(
            direction=direction,
            from_falx=from_falx,
            radius_mm=float(rng.uniform(7, 22)),
            flat=float(rng.uniform(0.6, 1.0)),
            hu=float(rng.uniform(45, 60)),
            oedema_hu=float(rng.uniform(5, 12)) if oedema else 0.0,
            oedema_mm=float(rng.uniform(4, 16)),
            calcium_hu=float(rng.uniform(60, 300)) if rng.random() < 0.22 else 0.0,
        )

    @property
    def _rough_centre(self) -> Point:
        """About where it lies on any head: at the base, on an ellipsoid that the inner table resembles."""
        unit = np.asarray(self.direction) / np.linalg.norm(self.direction)
        reach = 1 / np.sqrt((unit[0] / 68) ** 2 + (unit[1] / 84) ** 2 + (unit[2] / 66) ** 2)
        z, y, x = (float(v) for v in np.array([10.0, -18.0, 0.0]) + unit * (reach - (16 if self.from_falx else 2)))
        return z, y, x

    def push(self, nodes: Nodes) -> np.ndarray:
        """Return how the brain gives way."""
        return nodes.away(self._rough_centre, self.radius_mm, 0.6)

    def lay_over_dura(self, inside: Inside) -> None:
        """Put it on the dura."""
        at = inside.at
        centre = inside.beneath(self.direction, 16.0 if self.from_falx else 0.0)
        if self.from_falx:
            centre = inside.locate((centre[0], centre[1], 0.0))
        if self.oedema_hu:
            side = float(np.sign(self.direction[2]))
            _oedema(inside, (centre[0], centre[1], centre[2] + side), self.radius_mm, self.oedema_hu, self.oedema_mm)
        box, distance = inside.along((centre,), 1.5 * self.radius_mm + 4)
        wall = np.float32(np.sign(self.direction[2])) * at.falx[box] if self.from_falx else at.depth[box]
        height = np.maximum(wall, 0)
        # A lens: `distance` counts more along the height where it is flat.
        reach = np.sqrt(distance**2 + (1 / self.flat**2 - 1) * height**2)
        rim = np.float32(self.radius_mm) * (1 + 0.06 * at.texture[box]) - reach
        share = smoothstep(rim / 1.6 + 0.5) * smoothstep(wall / 1.5 + 0.5)
        share *= smoothstep(np.float32(np.sign(self.direction[2])) * at.falx[box] / 1.5 + 0.5)
        hu = np.float32(self.hu) + 0.8 * at.texture[box]
        if self.calcium_hu:
            hu = hu + np.float32(self.calcium_hu) * smoothstep(at.texture[box] - 0.9)
        inside.blend(box, share, np.maximum(hu, np.where(inside.falx[box] > 0.3, inside.hu[box], -1000)))
