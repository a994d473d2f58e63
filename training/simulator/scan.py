# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One seed, one scan: a head, with or without blood, sampled on a stack of planes and seen by a scanner.

`simulate_scan` does all of it. `SimulatedHead` is the head itself, to be sampled again for the other series of the
study. `NoiseFreeScan` is a sampled head before the scanner, small enough to keep on disk, of which `realise` makes
endless scans for training.

What a voxel's label says (the one definition): a voxel is labelled with a type when blood of that type fills at least
half of it, or raises it by at least half of the highest rise in that slice and at least 8 HU. Where types meet, the
higher fraction wins. Volumes are those of labelled voxels, as with masks drawn by hand. Blood in a ventricle counts
as intraparenchymal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from appliance.contract import TYPES, HemorrhageType
from training.simulator.anatomy import Anatomy
from training.simulator.blood import Blood, bled, drawn_volume_ml, expected, planned
from training.simulator.fields import Taps, spread, stream
from training.simulator.geometry import ScanGeometry
from training.simulator.scanner import Kernel, Scanner, scanned

Field = NDArray[np.float32]

AIR_HU = -1000.0
LABEL_FRACTION = 0.5
LABEL_RISE_HU = 8.0
LATTICE_PX = 16  # the map to the atlas is exact on this lattice and linear between
VOLUME_TOLERANCE = 0.07
MEASUREMENTS = 4
NO_HU = np.zeros((1, 1, 1), np.float32)  # a head of which only the blood is looked at
SUB_SLICE_MM = 1.7  # a slice is the mean of samples at most this far apart


class Finding(StrEnum):
    """What a simulated study shows."""

    IPH = "iph"
    EDH_SDH = "edh_sdh"
    SAH = "sah"
    NONE = "none"

    @property
    def type(self) -> HemorrhageType | None:
        """The contract's type, None for none."""
        return None if self is Finding.NONE else HemorrhageType(self.value)


def _lattice(size: int) -> NDArray[np.float64]:
    """Return the lattice positions (pixels) along an axis of `size` pixels."""
    nodes = max(2, int(np.ceil((size - 1) / LATTICE_PX)) + 1)
    return np.arange(nodes, dtype=np.float64) * LATTICE_PX


def _between(part: slice, nodes: int) -> Taps:
    """Return what interpolates from the lattice to the pixels of `part`."""
    return Taps.linear(np.arange(part.start, part.stop) / LATTICE_PX, nodes)


@dataclass(frozen=True)
class SimulatedHead:
    """A head before any scanner, on the atlas grid.

    Attributes
    ----------
    anatomy: shape and tissue.
    hu: float32 [Z, Y, X] on the atlas grid, blood included.
    blood: the blood in it, by type; empty where there is none.
    """

    anatomy: Anatomy
    hu: Field = field(repr=False)
    blood: tuple[Blood, ...] = ()

    def _coordinates(self, geometry: ScanGeometry, k: int) -> list[NDArray[np.float64]]:
        """Return the atlas coordinates [nodes y, nodes x, 3] of each sub-slice of plane k on the lattice."""
        row, column, normal = geometry.axes
        dy, dx = geometry.pixel_spacing_mm
        at_y, at_x = _lattice(geometry.rows), _lattice(geometry.columns)
        plane = geometry.origins_mm[k] + at_y[:, None, None] * dy * column + at_x[None, :, None] * dx * row
        thickness = geometry.thickness_mm[k]
        count = max(1, int(np.ceil(thickness / SUB_SLICE_MM)))
        offsets = ((np.arange(count) + 0.5) / count - 0.5) * thickness
        points = np.stack([plane + offset * normal for offset in offsets])
        return list(self.anatomy.atlas_index(points))

    def _sampled(
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
        taps = tuple(_between(part, nodes) for part, nodes in zip(window, seen.shape, strict=True))
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
        for k in range(geometry.shape[0]):
            sampled = self._sampled([self.hu], geometry, k, (low, high), np.zeros(3), "nearest")
            if sampled is not None:
                out[k][sampled[0]] = sampled[1][0]
        if self.anatomy.build.holder is not None:
            self.anatomy.build.holder.lay(out, geometry)
        return out

    @property
    def _head_box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The atlas box of the head; below it the neck goes on as its lowest slice."""
        reach = self.anatomy.build.skull_mm + self.anatomy.build.scalp_mm + 2
        found = ndimage.find_objects((self.anatomy.atlas.head_distance < reach).astype(np.uint8))[0]
        low = np.array([s.start for s in found], float)
        high = np.array([s.stop for s in found], float)
        low[0] = -200
        return low, high

    def fractions(self, geometry: ScanGeometry) -> dict[HemorrhageType, tuple[Field, Field]]:
        """Return for each type of blood its fraction and its rise in HU, [Z, Y, X] each, on these planes."""
        out = {}
        for blood in self.blood:
            fraction = np.zeros(geometry.shape, np.float32)
            rise = np.zeros(geometry.shape, np.float32)
            box = (blood.low - 1.0, blood.low + np.asarray(blood.fraction.shape, float))
            for k in range(geometry.shape[0]):
                sampled = self._sampled([blood.fraction, blood.rise], geometry, k, box, blood.low, "constant")
                if sampled is not None:
                    window, (part, hu) = sampled
                    fraction[k][window], rise[k][window] = part, hu
            out[blood.type] = (fraction, rise)
        return out

    def labels(self, geometry: ScanGeometry) -> NDArray[np.uint8]:
        """Return the labels uint8 [Z, Y, X] on these planes, by the definition at the top of this module."""
        return labelled(self.fractions(geometry), geometry.shape)

    def render(
        self,
        geometry: ScanGeometry,
        kernel: Kernel | str = Kernel.SOFT,
        *,
        scanner: Scanner | None = None,
        noise: int = 0,
    ) -> NDArray[np.int16]:
        """Return the scan int16 [Z, Y, X] of the head on these planes.

        Parameters
        ----------
        kernel: soft tissue or bone.
        scanner: the scanner; that of the head's seed by default.
        noise: the number of the noise stream: another series of the same study has another noise.
        """
        scanner = scanner or Scanner.drawn(stream(self.anatomy.seed, "scanner"))
        if Kernel(kernel) is Kernel.BONE:
            scanner = scanner.sharpened()
        rng = stream(self.anatomy.seed, f"noise {noise}")
        return scanned(
            self.noise_free(geometry), geometry.pixel_spacing_mm, np.asarray(geometry.thickness_mm), scanner, rng
        )


def labelled(fractions: dict[HemorrhageType, tuple[Field, Field]], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return the labels uint8 [Z, Y, X] of blood fractions and rises, by the definition of this module."""
    labels = np.zeros(shape, np.uint8)
    best = np.zeros(shape, np.float32)
    for kind in TYPES:
        if kind not in fractions:
            continue
        fraction, rise = fractions[kind]
        peak = rise.max(axis=(1, 2), keepdims=True)
        seen = (fraction >= LABEL_FRACTION) | ((rise >= 0.5 * peak) & (rise >= LABEL_RISE_HU))
        wins = seen & (fraction > best)
        labels[wins] = kind.label
        best[wins] = fraction[wins]
    return labels


@dataclass(frozen=True)
class SimulatedScan:
    """A simulated series with its truth.

    Attributes
    ----------
    hu: int16 [Z, Y, X], contract orientation.
    labels: uint8 [Z, Y, X], 0 none, 1 iph, 2 edh_sdh, 3 sah.
    geometry: where the planes lie.
    volumes_ml: the volume of the labelled voxels of each type that is there.
    head: the head, for other series of the study.
    scanner: the scanner that saw it.
    """

    seed: int
    finding: Finding
    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    geometry: ScanGeometry
    volumes_ml: dict[HemorrhageType, float]
    head: SimulatedHead = field(repr=False)
    scanner: Scanner


def volumes_ml(labels: NDArray[np.uint8], geometry: ScanGeometry) -> dict[HemorrhageType, float]:
    """Return the volume (mL) of the labelled voxels of each type that occurs."""
    per_plane = {kind: (labels == kind.label).sum(axis=(1, 2)) @ geometry.voxel_ml for kind in TYPES}
    return {kind: float(volume) for kind, volume in per_plane.items() if volume > 0}


def planned_geometry(seed: int) -> ScanGeometry:
    """Return the geometry of a seed's main series."""
    return ScanGeometry.drawn(stream(seed, "geometry"))


def simulate_head(
    seed: int,
    finding: Finding | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
) -> SimulatedHead:
    """Return the head of a seed, bleeding as asked for.

    Parameters
    ----------
    volume_ml: the volume that labelled voxels on `geometry` shall have; drawn by default.
    geometry: the planes the volume is measured on, and the gantry tilt the head is laid for; the seed's own by default.
    """
    finding = Finding(finding)
    geometry = geometry or planned_geometry(seed)
    # A tilted gantry follows the skull base, so the head lies about that much chin up or down.
    towards = geometry.tilt_deg * float(stream(seed, "lying").uniform(0.3, 1.0))
    anatomy = Anatomy.drawn(seed, extra_pitch_deg=-towards)
    kind = finding.type
    if kind is None:
        return SimulatedHead(anatomy, anatomy.hu())
    wanted = drawn_volume_ml(stream(seed, "volume")) if volume_ml is None else volume_ml
    plan = planned(anatomy, kind, wanted, stream(seed, "blood"))
    # Labelled voxels are not the true fill: grow, measure at half the resolution, correct.
    measured = coarser(geometry)
    aim = wanted
    for _ in range(MEASUREMENTS):
        growth = plan.grown(aim)
        trial = SimulatedHead(anatomy, NO_HU, (expected(anatomy, kind, plan, growth),))
        ratio = _labelled_ml(trial, kind, measured) / wanted
        if abs(ratio - 1) < VOLUME_TOLERANCE:
            break
        aim /= float(np.clip(ratio, 0.4, 2.5))
    # What gave way to the blood may have changed what is seen of it.
    tried = []
    for _ in range(2):
        pushed, hu, blood = bled(anatomy, kind, growth)
        head = SimulatedHead(pushed, hu, (blood,))
        ratio = _labelled_ml(head, kind, geometry) / wanted
        tried.append((abs(ratio - 1), head))
        if abs(ratio - 1) < VOLUME_TOLERANCE:
            break
        aim /= float(np.clip(ratio, 0.4, 2.5))
        growth = plan.grown(aim)
    return min(tried, key=lambda one: one[0])[1]


def _labelled_ml(head: SimulatedHead, kind: HemorrhageType, geometry: ScanGeometry) -> float:
    """Return the volume (mL) of the voxels labelled with a type on these planes."""
    return volumes_ml(head.labels(geometry), geometry).get(kind, 0.0)


def coarser(geometry: ScanGeometry) -> ScanGeometry:
    """Return the geometry with half the rows and columns over the same field of view."""
    dy, dx = geometry.pixel_spacing_mm
    return replace(geometry, rows=geometry.rows // 2, columns=geometry.columns // 2, pixel_spacing_mm=(2 * dy, 2 * dx))


def simulate_scan(
    seed: int,
    finding: Finding | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    scanner: Scanner | None = None,
) -> SimulatedScan:
    """Return the scan of a seed: the same head, scanner and mimics for each finding.

    Parameters
    ----------
    finding: iph, edh_sdh, sah or none.
    volume_ml: volume of the blood in labelled voxels; drawn from the paper's distribution by default.
    geometry, scanner: the seed's own by default.

    Raises
    ------
    ValueError
        If the finding is none of the four.
    """
    geometry = geometry or planned_geometry(seed)
    scanner = scanner or Scanner.drawn(stream(seed, "scanner"))
    head = simulate_head(seed, finding, volume_ml=volume_ml, geometry=geometry)
    labels = head.labels(geometry)
    return SimulatedScan(
        seed=seed,
        finding=Finding(finding),
        hu=head.render(geometry, scanner=scanner),
        labels=labels,
        geometry=geometry,
        volumes_ml=volumes_ml(labels, geometry),
        head=head,
        scanner=scanner,
    )


@dataclass(frozen=True)
class NoiseFreeScan:
    """A head sampled on its planes, before the scanner: what a training set keeps.

    Attributes
    ----------
    hu: int16 [Z, Y, X], noise-free, partial volume included.
    labels: uint8 [Z, Y, X].
    """

    seed: int
    finding: Finding
    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: NDArray[np.float64]

    def save(self, path: Path) -> None:
        """Write it as a compressed .npz file."""
        np.savez_compressed(
            path,
            allow_pickle=False,
            seed=self.seed,
            finding=str(self.finding),
            hu=self.hu,
            labels=self.labels,
            pixel_spacing_mm=self.pixel_spacing_mm,
            thickness_mm=self.thickness_mm,
        )

    @classmethod
    def load(cls, path: Path) -> NoiseFreeScan:
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as stored:
            dy, dx = (float(v) for v in stored["pixel_spacing_mm"])
            return cls(
                seed=int(stored["seed"]),
                finding=Finding(str(stored["finding"])),
                hu=stored["hu"],
                labels=stored["labels"],
                pixel_spacing_mm=(dy, dx),
                thickness_mm=stored["thickness_mm"],
            )

    def cropped(self, planes: slice, rows: slice, columns: slice) -> NoiseFreeScan:
        """Return a part of it."""
        window = (planes, rows, columns)
        return replace(self, hu=self.hu[window], labels=self.labels[window], thickness_mm=self.thickness_mm[planes])


def simulate_noise_free(
    seed: int, finding: Finding | str, *, volume_ml: float | None = None, geometry: ScanGeometry | None = None
) -> NoiseFreeScan:
    """Return the scan of a seed before the scanner; `simulate_scan` of the same arguments scans the same head."""
    geometry = geometry or planned_geometry(seed)
    head = simulate_head(seed, finding, volume_ml=volume_ml, geometry=geometry)
    return NoiseFreeScan(
        seed=seed,
        finding=Finding(finding),
        hu=np.rint(head.noise_free(geometry)).astype(np.int16),
        labels=head.labels(geometry),
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        thickness_mm=np.asarray(geometry.thickness_mm),
    )


def realise(
    scan: NoiseFreeScan, rng: np.random.Generator, *, scanner: Scanner | None = None, move: bool = True
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return another scanner's view of a noise-free scan (or a crop of one) and its labels.

    Parameters
    ----------
    rng: draws the scanner where none is given, the mirroring, the turn and shift, and the noise.
    move: mirror left and right half of the time, turn by up to 8 degrees in-plane and shift by up to 12 pixels.

    Returns
    -------
    hu: int16 [Z, Y, X].
    labels: uint8 [Z, Y, X].
    """
    scanner = scanner or Scanner.drawn(rng)
    hu: NDArray[np.int16] | Field = scan.hu
    labels = scan.labels
    if move:
        hu, labels = _moved(scan.hu, labels, rng)
    return scanned(hu, scan.pixel_spacing_mm, scan.thickness_mm, scanner, rng), labels


def _moved(
    hu: NDArray[np.int16], labels: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[Field, NDArray[np.uint8]]:
    """Return a scan mirrored by chance, turned and shifted in-plane."""
    if rng.random() < 0.5:
        hu, labels = hu[..., ::-1], labels[..., ::-1]
    angle = np.deg2rad(rng.uniform(-8, 8))
    scale = rng.uniform(0.93, 1.07)
    shift = rng.uniform(-12, 12, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) / scale
    middle = (np.asarray(hu.shape[1:]) - 1) / 2
    offset = middle - turn @ (middle + shift)
    moved = np.empty(hu.shape, np.float32)
    truth = np.empty(labels.shape, np.uint8)
    for k in range(hu.shape[0]):
        plane = hu[k].astype(np.float32)
        ndimage.affine_transform(plane, turn, offset, output=moved[k], order=1, mode="nearest")
        if labels[k].any():
            ndimage.affine_transform(labels[k], turn, offset, output=truth[k], order=0, mode="constant")
        else:
            truth[k] = 0
    return moved, truth
