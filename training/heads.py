# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated heads kept on disk for training: made once, in parallel, resumable, read by memory map.

A head is kept before any scanner (`simulator.noise_free`), so that every crop of it is another scanner's. Its
files are named after its diagnosis and seed, `iph-1000012.hu.npy` and so on; they appear in one step each, the `.json`
last, so that a folder can be trained from while it is still being filled.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import ndimage

from appliance.reading.contract import MATRIX
from simulator.fields import stream
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.noise_free import NoiseFreeScan, seeds_own_scan, simulate_noise_free
from simulator.population import TRAINING, Population, ScannerRange
from simulator.revision import claim, simulator_revision

# Of ten heads four are without blood: a study without blood must stay without a detection on every slice.
DIAGNOSIS_OF_SEED: Final = ("none", "iph", "edh_sdh", "sah", "none", "sah", "edh_sdh", "none", "iph", "none")
# Seeds below this are left to demonstrations, tests and benchmarks.
FIRST_TRAINING_SEED: Final = 1_000_000
FIRST_VALIDATION_SEED: Final = 2_000_000
MADE_WITH: Final = "made_with.json"
"""In a folder of heads: which simulator they are of."""
THIN_PLANES: Final = 64
# For the search for dense tissue inside the skull: bone, the margin along it in which everything is dense, and dense.
SKULL_HU: Final = 250
MARGIN_PX: Final = 8
DENSE_HU: Final = 52


@dataclass(frozen=True)
class Head:
    """One head on disk; its arrays are opened when asked for."""

    folder: Path
    diagnosis: str
    seed: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.diagnosis}-{self.seed}"

    @cached_property
    def scan(self) -> NoiseFreeScan:
        """The head before the scanner, its arrays memory-mapped."""
        return NoiseFreeScan.load(self.folder / self.name)

    @property
    def labels(self) -> NDArray[np.uint8]:
        """[Z, 512, 512] 0 or the label of a type."""
        return self.scan.whole(self.scan.labels, 0)

    def own_scan(self) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return HU [Z, 512, 512] and labels as the head's own scanner sees it, the same every time."""
        return seeds_own_scan(self.scan)

    @cached_property
    def blood(self) -> NDArray[np.int32]:
        """Voxels (z, y, x) [N, 3] of blood, spread evenly over the slices that have any."""
        return _spread(self.scan.labels > 0) + self._corner

    @cached_property
    def blood_ml(self) -> float:
        """How much blood the kept planes hold, in mL; thin planes of a part of the head hold a part."""
        planes_mm3 = self.scan.thickness_mm * float(np.prod(self.scan.pixel_spacing_mm))
        return float(np.sum(np.count_nonzero(self.scan.labels, axis=(1, 2)) * planes_mm3) / 1000)

    @cached_property
    def mimics(self) -> NDArray[np.int32]:
        """Voxels (z, y, x) [N, 3] inside the skull that are as dense as blood and are none, spread as `blood` is.

        What the paper found to be taken for blood: falx, tentorium, calcified plexus, beam hardening.
        """
        step = 4
        soft = ndimage.uniform_filter(np.clip(self.scan.hu, -100, 400).astype(np.float32), (0, step, step))
        soft = soft[:, ::step, ::step]
        blood = ndimage.binary_dilation(self.scan.labels[:, ::step, ::step] > 0, np.ones((1, 5, 5)))
        inside = np.zeros(soft.shape, bool)
        for z, plane in enumerate(soft):
            bones, count = ndimage.label(plane > SKULL_HU)
            if count:  # calcifications are bones of their own, the skull is the largest
                skull = bones == 1 + np.bincount(bones.ravel())[1:].argmax()
                near = ndimage.binary_dilation(skull, iterations=MARGIN_PX // step)
                inside[z] = ndimage.binary_fill_holes(skull) & ~near
        return _spread(inside & (soft > DENSE_HU) & ~blood) * np.array([1, step, step], np.int32) + self._corner

    @property
    def _corner(self) -> NDArray[np.int32]:
        """Where in the slices the stored box begins."""
        return np.array([0, *self.scan.corner], np.int32)


def _spread(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return voxels (z, y, x) [N, 3] of a mask, about 64 of each slice that has any."""
    chosen = [np.zeros((0, 3), np.int32)]
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        voxels = np.argwhere(mask[z])
        voxels = voxels[:: max(1, len(voxels) // 64)]
        chosen.append(np.column_stack([np.full(len(voxels), z), voxels]).astype(np.int32))
    return np.concatenate(chosen)


def find_heads(folder: Path) -> list[Head]:
    """Return the heads in `folder` and its subfolders, by name."""
    heads = []
    for path in sorted([*folder.glob("*-*.json"), *folder.glob("*/*-*.json")], key=lambda path: path.name):
        diagnosis, seed = path.name.removesuffix(".json").rsplit("-", 1)
        heads.append(Head(path.parent, diagnosis, int(seed)))
    return heads


def claim_for_heads(folder: Path) -> None:
    """State in `folder` that its heads are of this simulator. Raises `ValueError` if it holds others'."""
    claim(folder, MADE_WITH, "heads", simulator=own_revision())


@cache
def own_revision() -> str:
    """Return the revision of the simulator that heads made here are of, as it was when first asked for."""
    own = Path(__file__)  # says which diagnosis a seed has, and on which planes a head is kept
    return simulator_revision([own])


def make(
    folder: Path, first_seed: int, count: int, workers: int, population: Population = TRAINING
) -> dict[int, BaseException]:
    """Fill `folder` with the `count` heads from `first_seed` on, leaving out those that are there already.

    Returns
    -------
    What went wrong with each seed whose head could not be made, by rising seed; the others are made all the same.

    Raises
    ------
    ValueError
        If a head that is there was drawn from another population, or by another simulator.
    """
    claim_for_heads(folder)
    there = {head.seed: head for head in find_heads(folder)}
    wanted = range(first_seed, first_seed + count)
    for seed in wanted:
        if seed in there and (other := there[seed].scan.population) != population.name:
            raise ValueError(f"{there[seed].name} in {folder} is of the population {other}, not {population.name}")
    missing = [seed for seed in wanted if seed not in there]
    failed: dict[int, BaseException] = {}
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task(f"simulating heads into {folder}", total=count, completed=count - len(missing))
        running = {pool.submit(make_one, folder, seed, population): seed for seed in missing}
        for done in as_completed(running):
            error = done.exception()
            if error is not None:
                failed[running[done]] = error
            progress.advance(bar)
    return dict(sorted(failed.items()))


def kept_geometry(seed: int, population: Population) -> ScanGeometry:
    """Return the planes that a head of a seed is kept on.

    For training a third has slices of half the thickness, of which batches make thick ones by merging neighbours at any
    offset, and a tenth has thin slices over a part of the head. Others are kept as they are planned.
    """
    planned = draw_geometry(seed, population)
    if population.scanners is not ScannerRange.WIDE:
        return planned
    rng = stream(seed, "kept geometry")
    kind, parts, lowest = rng.random(), int(rng.choice([4, 6, 8])), rng.random()
    if kind < 0.1:
        thin = planned.thinner(parts)
        return thin.part(int(lowest * (thin.shape[0] - THIN_PLANES)), THIN_PLANES)
    return planned.thinner(2) if kind < 0.43 else planned


def make_one(folder: Path, seed: int, population: Population) -> None:
    """Simulate a seed's head and store it in `folder`."""
    diagnosis = DIAGNOSIS_OF_SEED[seed % len(DIAGNOSIS_OF_SEED)]
    scan = simulate_noise_free(seed, diagnosis, population=population, kept=kept_geometry(seed, population))
    if scan.matrix != (MATRIX, MATRIX):
        raise ValueError(f"head {seed} has a matrix of {scan.matrix}, training takes {MATRIX}")
    scan.save(folder / Head(folder, diagnosis, seed).name)
