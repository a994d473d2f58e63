# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A head, bleeding or not, before any scanner: tissue on the atlas grid, and its sampling on the planes of a series.

Sampling means over sub-slices, so that a slice's partial volume is that of its thickness. Nothing here draws a bleed
(`bleeding.py`); point spread and noise are the scanner's (`scanner/`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.blood.laying import Blood
from simulator.face import DEPTH_MM
from simulator.fields import Taps, spread, stream
from simulator.geometry import ScanGeometry
from simulator.labels import SeenBleed, label_voxels, shown_hu
from simulator.scanner import Kernel, Scanner, acquire
from simulator.tissue import Tissue

Field = NDArray[np.float32]

AIR_HU = -1000.0
LATTICE_PX = 16  # the map to the atlas is exact on this lattice and linear between
SUB_SLICE_MM = 1.7  # a slice is the mean of samples at most this far apart
# Towards the vertex the vault runs along the slice: samples that skip voxels would show their steps as a saw's teeth.
VERTEX_MM, VERTEX_SUB_SLICE_MM = 52.0, 0.7


def _lattice(size: int) -> NDArray[np.float64]:
    """Return the lattice positions (pixels) along an axis of `size` pixels."""
    nodes = max(2, int(np.ceil((size - 1) / LATTICE_PX)) + 1)
    return np.arange(nodes, dtype=np.float64) * LATTICE_PX


def _interpolation(part: slice, nodes: int) -> Taps:
    """Return what interpolates from the lattice to the pixels of `part`."""
    return Taps.linear(np.arange(part.start, part.stop) / LATTICE_PX, nodes)


@dataclass(frozen=True)
class SimulatedHead:
    """A head before any scanner, on the atlas grid.

    Attributes
    ----------
    anatomy: shape and tissue.
    hu: float32 [Z, Y, X] on the atlas grid, blood included.
    blood: the blood in it, by bleed; empty where there is none.
    filled: the tissue with contrast agent in its vessels, None for the head's own.
    """

    anatomy: Anatomy
    hu: Field = field(repr=False)
    blood: tuple[Blood, ...] = ()
    filled: Tissue | None = None

    def _neck_mm(self, geometry: ScanGeometry) -> int:
        """Return how far below the atlas these planes show the head, in whole voxels of the atlas grid."""
        low, high = self._head_box
        at = np.concatenate([np.stack(self._coordinates(geometry, k)).reshape(-1, 3) for k in range(geometry.shape[0])])
        seen = at[np.all((at >= low) & (at <= high), axis=-1), 0]
        return int(np.clip(np.ceil(-seen.min(initial=0.0)), 0, DEPTH_MM))

    def _coordinates(self, geometry: ScanGeometry, k: int) -> list[NDArray[np.float64]]:
        """Return the atlas coordinates [nodes y, nodes x, 3] of each sub-slice of plane k on the lattice."""
        row, column, normal = geometry.axes
        dy, dx = geometry.pixel_spacing_mm
        at_y, at_x = _lattice(geometry.rows), _lattice(geometry.columns)
        plane = geometry.origins_mm[k] + at_y[:, None, None] * dy * column + at_x[None, :, None] * dx * row
        thickness = geometry.thickness_mm[k]
        apart = SUB_SLICE_MM if geometry.centres_mm[k, 2] < VERTEX_MM else VERTEX_SUB_SLICE_MM
        count = max(1, int(np.ceil(thickness / apart)))
        offsets = ((np.arange(count) + 0.5) / count - 0.5) * thickness
        points = np.stack([plane + offset * normal for offset in offsets])
        return list(self.anatomy.atlas_index(points))

    def _sample(
        self,
        volumes: list[Field],
        geometry: ScanGeometry,
        k: int,
        box: tuple[NDArray[np.floating], NDArray[np.floating]],
        first: NDArray[Any],
        mode: str,
    ) -> tuple[tuple[slice, slice], list[Field]] | None:
        """Return the window of plane k in which the atlas box (low, high) is seen, and the means of `volumes` there.

        `first` is the atlas index of the volumes' first voxel; beyond them `mode` holds (as in scipy.ndimage).
        """
        low, high = box
        lattices = self._coordinates(geometry, k)
        # A cell of the lattice sees the box if the span of its corners does.
        cell_low = ndimage.minimum_filter(np.min(lattices, axis=0), (2, 2, 1), origin=(-1, -1, 0))
        cell_high = ndimage.maximum_filter(np.max(lattices, axis=0), (2, 2, 1), origin=(-1, -1, 0))
        seen = np.all((cell_low <= high) & (cell_high >= low), axis=-1)
        if not seen.any():
            return None
        ys, xs = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        window = (
            slice(max(0, (ys[0] - 1) * LATTICE_PX), min(geometry.rows, (ys[-1] + 2) * LATTICE_PX)),
            slice(max(0, (xs[0] - 1) * LATTICE_PX), min(geometry.columns, (xs[-1] + 2) * LATTICE_PX)),
        )
        first_column = np.asarray(first, np.float32)[:, None, None]
        size = (window[0].stop - window[0].start, window[1].stop - window[1].start)
        taps = tuple(_interpolation(part, nodes) for part, nodes in zip(window, seen.shape, strict=True))
        means = [np.zeros(size, np.float32) for _ in volumes]
        for lattice in lattices:
            at = spread(np.asarray(np.moveaxis(lattice, -1, 0) - first_column, np.float32), taps)
            for i, volume in enumerate(volumes):
                means[i] += ndimage.map_coordinates(volume, at, order=1, mode=mode, output=np.float32)
        for mean in means:
            mean /= np.float32(len(lattices))
        return window, means

    def noise_free(self, geometry: ScanGeometry) -> Field:
        """Return the noise-free HU [Z, Y, X] of the head on these planes, partial volume included, air around."""
        out = np.full(geometry.shape, AIR_HU, np.float32)
        low, high = self._head_box
        neck_mm, whole = self._neck_mm(geometry), self.hu
        if neck_mm:
            whole = np.concatenate([self.anatomy.exterior.below(neck_mm, self.filled), self.hu])
        for k in range(geometry.shape[0]):
            sampled = self._sample([whole], geometry, k, (low, high), np.array([-neck_mm, 0.0, 0.0]), "nearest")
            if sampled is not None:
                out[k][sampled[0]] = sampled[1][0]
        if self.anatomy.build.holder is not None:
            self.anatomy.build.holder.lay(out, geometry)
        self.anatomy.fillings.lay(out, geometry, self.anatomy.atlas_index, self.anatomy.atlas.origin_mni)
        return out

    @property
    def _head_box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The atlas box of the head; below face and neck (`face.py`) it goes on as their lowest slice."""
        reach = self.anatomy.exterior.reach_mm
        found = ndimage.find_objects((self.anatomy.atlas.head_distance < reach).astype(np.uint8))[0]
        low = np.array([s.start for s in found], float)
        high = np.array([s.stop for s in found], float)
        low[0] = -200
        return low, high

    def bleeds(self, geometry: ScanGeometry) -> list[SeenBleed]:
        """Return each bleed as these planes show it, in the order of `blood`."""
        out = []
        for blood in self.blood:
            seen = SeenBleed(blood.type, *(np.zeros(geometry.shape, np.float32) for _ in range(3)))
            box = (blood.low - 1.0, blood.low + np.asarray(blood.fraction.shape, float))
            for k in range(geometry.shape[0]):
                volumes = [blood.fraction, blood.rise, blood.hu]
                sampled = self._sample(volumes, geometry, k, box, blood.low, "constant")
                if sampled is not None:
                    window, means = sampled
                    means[2] = shown_hu(means[2], geometry.pixel_spacing_mm)
                    for whole, mean in zip((seen.fraction, seen.rise, seen.shown), means, strict=True):
                        whole[k][window] = mean
            out.append(seen)
        return out

    def labels(self, geometry: ScanGeometry) -> NDArray[np.uint8]:
        """Return the labels uint8 [Z, Y, X] on these planes, by the definition of `labels.py`."""
        return label_voxels(self.bleeds(geometry), geometry.shape, geometry.pixel_spacing_mm)

    def render(
        self,
        geometry: ScanGeometry,
        kernel: Kernel | str = Kernel.SOFT,
        *,
        scanner: Scanner,
        noise: int = 0,
    ) -> NDArray[np.int16]:
        """Return the scan int16 [Z, Y, X] of the head on these planes.

        Parameters
        ----------
        kernel: soft tissue or bone.
        noise: the number of the noise stream: another series of the same study has another noise.
        """
        if Kernel(kernel) is Kernel.BONE:
            scanner = scanner.sharpen()
        rng = stream(self.anatomy.seed, f"noise {noise}")
        hu = np.rint(self.noise_free(geometry))
        return acquire(hu, geometry.pixel_spacing_mm, np.asarray(geometry.thickness_mm), scanner, rng)
