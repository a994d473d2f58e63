# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A sampled head before the scanner, small enough to keep on disk, of which `realise` makes endless scans."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.simulator.bleeding import simulate_head
from training.simulator.finding import Finding
from training.simulator.geometry import ScanGeometry, planned_geometry
from training.simulator.population import TRAINING, Population
from training.simulator.scanner import Scanner, scanned

Field = NDArray[np.float32]


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
    seed: int,
    finding: Finding | str,
    *,
    volume_ml: float | None = None,
    geometry: ScanGeometry | None = None,
    population: Population = TRAINING,
) -> NoiseFreeScan:
    """Return the scan of a seed before the scanner; `simulate_scan` of the same arguments scans the same head."""
    geometry = geometry or planned_geometry(seed)
    head = simulate_head(seed, finding, volume_ml=volume_ml, geometry=geometry, population=population)
    return NoiseFreeScan(
        seed=seed,
        finding=Finding(finding),
        hu=np.rint(head.noise_free(geometry)).astype(np.int16),
        labels=head.labels(geometry),
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        thickness_mm=np.asarray(geometry.thickness_mm),
    )


def realise(
    scan: NoiseFreeScan,
    rng: np.random.Generator,
    *,
    scanner: Scanner | None = None,
    move: bool = True,
    population: Population = TRAINING,
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
    scanner = scanner or Scanner.drawn(rng, population)
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
