# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A sampled head before the scanner, small enough to keep on disk, of which `realise` makes endless scans.

On disk it is some files of one stem: `.hu.npy` (int16) and `.labels.npy` (uint8), both [Z, y, x] within the box that
holds the head and read by memory map, `.blood.npy` where planes may be merged (see `kept_blood.py`), `.rays.npz` (what
rays cross, see `scanner/rays.py`) and `.json` (everything else). The last appears last: what is found by its `.json` is
complete.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import HemorrhageType
from simulator.bleeding import simulate_head
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.kept_blood import KeptBlood
from simulator.labels import label_voxels
from simulator.population import POPULATIONS, TRAINING, Population
from simulator.scanner import Rays, Scanner, acquire
from simulator.view import View, cut

MARGIN_PX = 6  # around a view, so that its edges are scanned as its middle is
AIR_HU = -1000


@dataclass(frozen=True)
class NoiseFreeScan:
    """A head sampled on its planes, before the scanner: what a training set keeps.

    Attributes
    ----------
    hu: int16 [Z, y, x], noise-free, partial volume included.
    labels: uint8 [Z, y, x].
    pixel_spacing_mm: distance of rows and of columns.
    thickness_mm: [Z].
    gapless: whether the planes touch, so that neighbours may be merged to thicker slices.
    blood: the blood in the planes, for the labels of such slices; a scan that was kept without it is not merged.
    population: the name of what it was drawn from.
    corner, matrix: where the arrays' first pixel lies in the slice, and the slice's rows and columns, where the arrays
        are only the box that holds the head; around it is air.
    """

    seed: int
    diagnosis: Diagnosis
    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    pixel_spacing_mm: tuple[float, float]
    thickness_mm: NDArray[np.float64]
    gapless: bool = False
    population: str = TRAINING.name
    corner: tuple[int, int] = (0, 0)
    matrix: tuple[int, int] = (0, 0)
    blood: KeptBlood | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.matrix == (0, 0):
            object.__setattr__(self, "matrix", self.hu.shape[1:])

    @cached_property
    def rays(self) -> Rays:
        """What rays cross in its slices."""
        return Rays.through(self.whole(self.hu, AIR_HU), self.pixel_spacing_mm)

    def whole(self, values: NDArray[Any], around: float) -> NDArray[Any]:
        """Return `values` [Z, y, x] within the box as whole slices [Z, *matrix]."""
        return cut(values, View.whole(self.matrix), self.matrix, corner=self.corner, nearest=True, around=around)

    def crop(self) -> NoiseFreeScan:
        """Return it within the box that holds the head."""
        seen = np.any(self.hu > AIR_HU, axis=0)
        ys, xs = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        if not len(ys):
            return self
        box = (slice(None), slice(int(ys[0]), int(ys[-1]) + 1), slice(int(xs[0]), int(xs[-1]) + 1))
        corner = (self.corner[0] + int(ys[0]), self.corner[1] + int(xs[0]))
        return replace(self, hu=self.hu[box], labels=self.labels[box], corner=corner, matrix=self.matrix)

    @property
    def mergeable(self) -> bool:
        """Whether neighbouring planes may be shown as one thicker slice."""
        # By nothing that differs between heads that bleed and others, or thickness would tell who does.
        return self.gapless and self.blood is not None

    def merged_labels(self, slices: Sequence[range]) -> NDArray[np.uint8]:
        """Return the labels [slices, *matrix] of slices that are the means of some planes each.

        Raises
        ------
        ValueError
            If the scan bleeds and was kept without its blood.
        """
        if self.blood is not None:
            return self.blood.labels(slices, self.pixel_spacing_mm, self.hu, self.corner)
        if self.diagnosis is not Diagnosis.NONE:
            raise ValueError(f"the planes of {self.diagnosis}-{self.seed} were kept without what merged labels need")
        return np.zeros((len(slices), *self.matrix), np.uint8)

    def slices(self, parts: int = 1, first: int = 0, step: int = 0) -> list[range]:
        """Return the planes of each slice that `parts` neighbours make together, from the plane `first` on.

        They lie `step` planes apart, by default without a gap.
        """
        return [range(k, k + parts) for k in range(first, len(self.hu) - parts + 1, step or parts)]

    def save(self, stem: Path) -> None:
        """Write it as `<stem>.hu.npy` and its fellows."""
        boxed = self.crop()
        partial = stem.with_name(f".{stem.name}.partial")
        for suffix, array in (("hu", boxed.hu), ("labels", boxed.labels)):
            with partial.open("wb") as file:
                np.save(file, np.ascontiguousarray(array))
            partial.replace(stem.with_name(f"{stem.name}.{suffix}.npy"))
        if boxed.blood is not None:
            with partial.open("wb") as file:
                np.save(file, boxed.blood.voxels)
            partial.replace(stem.with_name(f"{stem.name}.blood.npy"))
        self.rays.save(partial)
        partial.replace(stem.with_name(f"{stem.name}.rays.npz"))
        told = {
            "seed": self.seed,
            "diagnosis": str(self.diagnosis),
            "population": self.population,
            "gapless": self.gapless,
            "pixel_spacing_mm": [float(v) for v in self.pixel_spacing_mm],
            "thickness_mm": [float(v) for v in self.thickness_mm],
            "corner": boxed.corner,
            "matrix": self.matrix,
            "blood": None
            if boxed.blood is None
            else {"types": boxed.blood.types, "starts": boxed.blood.starts.tolist()},
        }
        partial.write_text(json.dumps(told) + "\n", encoding="utf-8")
        partial.replace(stem.with_name(f"{stem.name}.json"))

    @classmethod
    def load(cls, stem: Path) -> NoiseFreeScan:
        """Open what `save` wrote; its arrays are memory-mapped."""
        told = json.loads(stem.with_name(f"{stem.name}.json").read_text(encoding="utf-8"))
        hu, labels = (
            np.load(stem.with_name(f"{stem.name}.{suffix}.npy"), mmap_mode="r") for suffix in ("hu", "labels")
        )
        matrix = (told["matrix"][0], told["matrix"][1])
        blood = None
        if (of_blood := told.get("blood")) is not None:
            starts = np.asarray(of_blood["starts"], np.int64)
            voxels = np.load(stem.with_name(f"{stem.name}.blood.npy"), mmap_mode="r" if starts[-1] else None)
            blood = KeptBlood(tuple(HemorrhageType(kind) for kind in of_blood["types"]), matrix, starts, voxels)
        scan = cls(
            seed=told["seed"],
            # Older heads, which a training pool may still hold, call it "finding".
            diagnosis=Diagnosis(told["diagnosis"] if "diagnosis" in told else told["finding"]),
            hu=hu,
            labels=labels,
            pixel_spacing_mm=(told["pixel_spacing_mm"][0], told["pixel_spacing_mm"][1]),
            thickness_mm=np.asarray(told["thickness_mm"]),
            gapless=told["gapless"],
            population=told["population"],
            corner=(told["corner"][0], told["corner"][1]),
            matrix=matrix,
            blood=blood,
        )
        scan.__dict__["rays"] = Rays.load(stem.with_name(f"{stem.name}.rays.npz"))
        return scan


def simulate_noise_free(
    seed: int,
    diagnosis: Diagnosis | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    population: Population = TRAINING,
    kept: ScanGeometry | None = None,
) -> NoiseFreeScan:
    """Return the scan of a seed before the scanner; `simulate_scan` of the same arguments scans the same head.

    Parameters
    ----------
    kept: the planes to keep, those of `geometry` by default. The volume is that on `geometry` even where they show
        only a part of the head: blood would else grow until the part holds all of it.
    """
    geometry = geometry or draw_geometry(seed, population)
    head = simulate_head(seed, diagnosis, volume_ml=volume_ml, geometry=geometry, population=population)
    geometry = kept or geometry
    bleeds = head.bleeds(geometry)
    gapless = bool(np.allclose(geometry.spans_mm, geometry.thickness_mm, rtol=0.02))
    return NoiseFreeScan(
        seed=seed,
        diagnosis=Diagnosis(diagnosis),
        hu=np.rint(head.noise_free(geometry)).astype(np.int16),
        labels=label_voxels(bleeds, geometry.shape, geometry.pixel_spacing_mm),
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        thickness_mm=np.asarray(geometry.thickness_mm),
        gapless=gapless,
        population=population.name,
        blood=KeptBlood.of(bleeds, geometry.shape) if gapless else None,
    )


def seeds_own_scan(scan: NoiseFreeScan) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return the scan by the scanner of its own seed, the same every time: hu and labels as `realise` does."""
    scanner = Scanner.draw(stream(scan.seed, "scanner"), POPULATIONS[scan.population])
    return realise(scan, stream(scan.seed, "noise 0"), scanner=scanner, move=False)


def realise(
    scan: NoiseFreeScan,
    rng: np.random.Generator,
    *,
    scanner: Scanner | None = None,
    move: bool = True,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return another scanner's view of a noise-free scan and its labels.

    Parameters
    ----------
    rng: draws the scanner where none is given, of those of the scan's population, the mirroring, the turn and shift,
        and the noise.
    move: mirror left and right half of the time, turn by up to 8 degrees in-plane, scale by up to 7 % and shift by up
        to 12 pixels.

    Returns
    -------
    hu: int16 [Z, Y, X].
    labels: uint8 [Z, Y, X].
    """
    scanner = scanner or Scanner.draw(rng, POPULATIONS[scan.population])
    view = View.whole(scan.matrix)
    if move:
        mirrored = bool(rng.random() < 0.5)
        angle, scale = float(np.deg2rad(rng.uniform(-8, 8))), float(1 / rng.uniform(0.93, 1.07))
        dy, dx = rng.uniform(-12, 12, 2)
        view = View((view.centre[0] + float(dy), view.centre[1] + float(dx)), angle, scale, mirrored)
    return scan_view(scan, view, scan.matrix, scan.slices(), scanner, rng)


def scan_view(
    scan: NoiseFreeScan,
    view: View,
    size: tuple[int, int],
    slices: Sequence[range],
    scanner: Scanner,
    rng: np.random.Generator,
) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
    """Return what a scanner makes of a view of some slices of a scan, at the cost of that view: hu and labels.

    Parameters
    ----------
    slices: the planes of each slice (`NoiseFreeScan.slices`): their mean is what it shows, and what is labelled.

    Returns
    -------
    hu: int16 [slices, *size].
    labels: uint8 [slices, *size].
    """
    margin = 0 if size == scan.matrix else MARGIN_PX
    wider = (size[0] + 2 * margin, size[1] + 2 * margin)
    first, end = slices[0].start, slices[-1].stop
    hu = cut(scan.hu[first:end], view, wider, corner=scan.corner, around=AIR_HU)
    thickness = scan.thickness_mm[first:end]
    rays = scan.rays.of(slice(first, end))
    if any(len(planes) > 1 for planes in slices):
        parts = [slice(planes.start - first, planes.stop - first) for planes in slices]
        hu = np.stack([hu[part].mean(0) for part in parts])
        labels = cut(scan.merged_labels(slices), view, size, nearest=True, around=0)
        thickness = np.array([thickness[part].sum() for part in parts])
        rays = rays.merge(parts)
    else:
        labels = cut(scan.labels[first:end], view, size, corner=scan.corner, nearest=True, around=0)
    dy, dx = scan.pixel_spacing_mm
    spacing = (dy * view.scale, dx * view.scale)
    seen = acquire(hu, spacing, thickness, scanner, rng, rays=rays, view=view, matrix=scan.matrix)
    return seen[:, margin : margin + size[0], margin : margin + size[1]], labels
