# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a mimic is: something drawn once for a head, which changes that head where the hooks below are called.

A kind overrides the hooks it needs. Everything random is drawn when the mimic is, so that the hooks give the same again
after a bleed has pushed the brain, and places are MNI points that move with the tissue (`Inside.locate`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.landmarks import Landmarks, smoothstep
from simulator.tissue import Tissue

Field = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]
MIDDLE: Point = (10.0, -18.0, 0.0)  # MNI z, y, x from which directions to the skull are counted


def near(lines: tuple[Field, Field, Field], nodes: tuple[Point, ...], reach: float) -> tuple[Box, Field]:
    """Return the box within `reach` mm of a line of MNI points (z, y, x), and the distances (mm) to the line in it.

    Parameters
    ----------
    lines: the grid's z, y and x, broadcastable.
    nodes: one point, or the corners of the line.
    """
    box = []
    for axis, grid in enumerate(lines):
        line = grid.ravel()
        low, high = min(n[axis] for n in nodes) - reach, max(n[axis] for n in nodes) + reach
        inside = np.flatnonzero((line >= low) & (line <= high))
        box.append(slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0))
    z, y, x = box
    grids = (lines[0][z], lines[1][:, y], lines[2][:, :, x])
    shape = (z.stop - z.start, y.stop - y.start, x.stop - x.start)
    nearest = np.full(shape, np.inf, np.float32)
    for start, end in pairwise(nodes) if len(nodes) > 1 else [(nodes[0], nodes[0])]:
        way = [b - a for a, b in zip(start, end, strict=True)]
        length2 = sum(w * w for w in way)
        along: Field | float = 0.0
        if length2:
            parts = [(g - np.float32(a)) * np.float32(w / length2) for g, a, w in zip(grids, start, way, strict=True)]
            along = np.clip(parts[0] + parts[1] + parts[2], 0, 1)
        squares = [(g - np.float32(a) - np.float32(w) * along) ** 2 for g, a, w in zip(grids, start, way, strict=True)]
        nearest = np.minimum(nearest, squares[0] + squares[1] + squares[2])
    return (z, y, x), np.asarray(np.sqrt(nearest), np.float32)


@dataclass(frozen=True)
class Inside:
    """The cavity of one head as a mimic finds it.

    Attributes
    ----------
    hu: float32 [Z, Y, X] of the cavity's box, changed in place.
    at: where its voxels lie.
    falx, tentorium, sinus, ventricle: how much of each voxel is that.
    warp: float32 [3, z, y, x] on a grid of `warp_mm`: see `Anatomy.inner_warp`.
    origin: MNI z, y, x of the atlas grid's first voxel.
    """

    hu: Field = field(repr=False)
    at: Landmarks = field(repr=False)
    tissue: Tissue
    falx: Field = field(repr=False)
    tentorium: Field = field(repr=False)
    sinus: Field = field(repr=False)
    ventricle: Field = field(repr=False)
    warp: Field = field(repr=False)
    warp_mm: int
    origin: Point

    def locate(self, point: Point) -> Point:
        """Return the MNI place (z, y, x) where this head shows the tissue of an atlas point."""
        signs = np.array([1.0, -1.0, -1.0])
        wanted = (np.asarray(point) - np.asarray(self.origin)) * signs
        index = wanted.copy()
        for _ in range(8):
            nodes = (index / self.warp_mm)[:, None]
            moved = [ndimage.map_coordinates(w, nodes, order=1, mode="nearest")[0] for w in self.warp]
            index = 0.5 * index + 0.5 * (wanted - np.asarray(moved, np.float64))
        z, y, x = (float(v) for v in index * signs + np.asarray(self.origin))
        return z, y, x

    def along(self, nodes: tuple[Point, ...], reach: float) -> tuple[Box, Field]:
        """Return the box within `reach` mm of a line of MNI points, and the distances (mm) to it."""
        return near((self.at.z, self.at.y, self.at.x), nodes, reach)

    def blend(self, box: Box, share: NDArray[np.floating], hu: Field | float) -> None:
        """Let `share` of each voxel of a box be something of `hu`."""
        self.hu[box] += np.asarray(share, np.float32) * (np.asarray(hu, np.float32) - self.hu[box])

    def add_most(self, parts: Iterable[tuple[Box, Field]]) -> None:
        """Add to each voxel the most of what several parts, each with its box, would add: calcium does not add up."""
        most = np.zeros_like(self.hu)
        for box, part in parts:
            most[box] = np.maximum(most[box], part)
        self.hu[...] += most

    def ball(
        self, point: Point, radius: float, hu: float, *, ragged: float = 0.3, edge: float = 1.5
    ) -> tuple[Box, Field]:
        """Return a box and what a ragged ball of HU about the tissue of an atlas point adds there."""
        box, distance = self.along((self.locate(point),), 2 * radius + 3)
        rim = np.float32(radius) * (1 + np.float32(ragged) * self.at.texture[box]) - distance
        return box, np.asarray(np.float32(hu) * smoothstep(rim / np.float32(edge) + 0.5), np.float32)

    def beneath(self, direction: Point, depth: float) -> Point:
        """Return the MNI point `depth` mm below the inner table that lies from the head's middle in a direction."""
        return _on(self.at.depth, (self.at.z, self.at.y, self.at.x), direction, depth, falling=True)


@dataclass(frozen=True)
class Outside:
    """Skull, scalp and air of one head as a mimic finds them.

    Attributes
    ----------
    hu: float32 [Z, Y, X] of the whole atlas grid, changed in place.
    z, y, x: MNI coordinates, broadcastable.
    inner, outer, skin: mm to the inner table, the outer table and the skin, rising outwards.
    """

    hu: Field = field(repr=False)
    z: Field = field(repr=False)
    y: Field = field(repr=False)
    x: Field = field(repr=False)
    inner: Field = field(repr=False)
    outer: Field = field(repr=False)
    skin: Field = field(repr=False)
    tissue: Tissue

    def along(self, nodes: tuple[Point, ...], reach: float) -> tuple[Box, Field]:
        """Return the box within `reach` mm of a line of MNI points, and the distances (mm) to it."""
        return near((self.z, self.y, self.x), nodes, reach)

    def blend(self, box: Box, share: NDArray[np.floating], hu: Field | float) -> None:
        """Let `share` of each voxel of a box be something of `hu`; the brain's cavity stays."""
        kept = np.clip(0.5 + self.inner[box], 0, 1)
        self.hu[box] += np.asarray(share * kept, np.float32) * (np.asarray(hu, np.float32) - self.hu[box])

    def bone(self, box: Box) -> Field:
        """Return how much of each voxel of a box lies between the tables."""
        return np.asarray(np.clip(0.5 - self.outer[box], 0, 1) * np.clip(0.5 + self.inner[box], 0, 1), np.float32)

    def on_skull(self, direction: Point) -> Point:
        """Return the point of the outer table in a direction from the head's middle."""
        return _on(self.outer, (self.z, self.y, self.x), direction, 0.0)

    def on_skin(self, direction: Point, above: float = 0.0) -> Point:
        """Return the point `above` mm over the skin in a direction from the head's middle."""
        return _on(self.skin, (self.z, self.y, self.x), direction, above)


def _on(
    surface: Field, lines: tuple[Field, Field, Field], direction: Point, level: float, *, falling: bool = False
) -> Point:
    """Return the outermost point in a direction where a distance reaches a level."""
    unit = np.asarray(direction) / np.linalg.norm(direction)
    steps = np.arange(10.0, 130.0, 0.5)
    points = np.asarray(MIDDLE) + steps[:, None] * unit
    index = []
    for axis, grid in enumerate(lines):
        line = grid.ravel()
        index.append(np.clip(np.rint((points[:, axis] - line[0]) * np.sign(line[1] - line[0])), 0, line.size - 1))
    values = surface[tuple(np.asarray(i, np.intp) for i in index)]
    within = np.flatnonzero(values > level if falling else values < level)
    z, y, x = (float(v) for v in points[within[-1] if within.size else 0])
    return z, y, x


@dataclass(frozen=True)
class Nodes:
    """The nodes of the warp's grid, where mimics that take or give room push the brain.

    Attributes
    ----------
    z, y, x: MNI coordinates, float32, broadcastable to [z, y, x] of the grid.
    depth: mm below the inner table.
    tentorium: mm to the sheet between cerebrum and cerebellum, negative below.
    falx: mm to the plane between the hemispheres, positive to the right.
    """

    z: Field = field(repr=False)
    y: Field = field(repr=False)
    x: Field = field(repr=False)
    depth: Field = field(repr=False)
    tentorium: Field = field(repr=False)
    falx: Field = field(repr=False)

    def away(self, centre: Point, radius: float, share: float) -> Field:
        """Return a push that makes room for `share` of a ball's volume, or draws tissue in where `share` is negative.

        Parameters
        ----------
        centre: MNI z, y, x of the ball.
        radius: of the ball, mm.

        Returns
        -------
        float32 [3, z, y, x], where tissue comes from, mm to add to the indices z, y, x.
        """
        dz, dy, dx = (g - np.float32(c) for g, c in zip((self.z, self.y, self.x), centre, strict=True))
        r = np.maximum(np.sqrt(dz**2 + dy**2 + dx**2), 0.5)
        room = np.float32(share * radius**3)
        beyond = np.cbrt(np.maximum(r**3 - room, 0)) - r
        at_edge = radius * (np.cbrt(max(1 - share, 0.0)) - 1)
        moved = np.where(r < radius, at_edge * r / np.float32(radius), beyond)
        moved = np.clip(moved, -14, 14) * np.exp(-np.maximum(r - 2.5 * radius, 0) / 15) * smoothstep(self.depth / 12)
        # What lies beyond the tentorium is held by it.
        beyond_sheet = smoothstep(np.sign(centre[0] + 22) * self.tentorium / 8 + 1)
        moved = moved * beyond_sheet
        # Indices y and x fall with the coordinate.
        return np.asarray(np.stack([moved * dz / r, -moved * dy / r, -moved * dx / r]), np.float32)


class Mimic:
    """What may be taken for blood, or hide it; each kind a frozen dataclass of what its own `draw` drew."""

    def thicken(self, tissue: Tissue) -> Tissue:
        """Return the head's tissue values as this mimic changes them."""
        return tissue

    def push(self, nodes: Nodes) -> Field | None:  # noqa: ARG002 -- most kinds push nothing
        """Return how the brain gives way, see `Nodes.away`."""
        return None

    def lay_in_brain(self, inside: Inside) -> None:
        """Change the brain, before arteries, dura and sinuses are laid."""

    def lay_over_dura(self, inside: Inside) -> None:
        """Change the cavity after all of it is laid."""

    def lift(self, z: Field, y: Field, x: Field) -> Field | None:  # noqa: ARG002 -- most kinds lift nothing
        """Return how far (mm) the skin is lifted at MNI z, y, x."""
        return None

    def lay_outside(self, outside: Outside) -> None:
        """Change skull, scalp and what lies around them."""

    def hardening(self, at: Landmarks) -> Field | None:  # noqa: ARG002 -- one kind hardens
        """Return what is added to the HU inside the skull, whatever fills it, [Z, Y, X]."""
        return None
