# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated heads kept on disk for training: made once, in parallel, resumable, read by memory map.

A head is two files named after its finding and seed, `iph-1000012.hu.npy` (int16 [Z, 512, 512], HU) and
`.labels.npy` (uint8, same shape). They appear in one step each, labels last, so that a folder can be trained from
while it is still being filled.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.progress import Progress
from scipy import ndimage

from appliance.contract import MATRIX, TYPES

FINDINGS: Final = ("none", *(str(kind) for kind in TYPES))
# Of ten heads four are without blood: a study without blood must stay without a detection on every slice.
FINDING_OF_SEED: Final = ("none", "iph", "edh_sdh", "sah", "none", "sah", "edh_sdh", "none", "iph", "none")
# Seeds below this are left to demonstrations, tests and benchmarks.
FIRST_TRAINING_SEED: Final = 1_000_000
FIRST_VALIDATION_SEED: Final = 2_000_000
# For the search for dense tissue inside the skull: bone, the margin along it in which everything is dense, and dense.
SKULL_HU: Final = 250
MARGIN_PX: Final = 8
DENSE_HU: Final = 52


@dataclass(frozen=True)
class Head:
    """One head on disk; its arrays are opened when asked for."""

    folder: Path
    finding: str
    seed: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.finding}-{self.seed}"

    @cached_property
    def hu(self) -> NDArray[np.int16]:
        """[Z, 512, 512] HU, in the contract's orientation."""
        return np.asanyarray(np.load(self.folder / f"{self.name}.hu.npy", mmap_mode="r"))

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """[Z, 512, 512] 0 or the label of a type."""
        return np.asanyarray(np.load(self.folder / f"{self.name}.labels.npy", mmap_mode="r"))

    @cached_property
    def blood(self) -> NDArray[np.int32]:
        """Voxels (z, y, x) [N, 3] of blood, spread evenly over the slices that have any."""
        return _spread(self.labels > 0)

    @cached_property
    def mimics(self) -> NDArray[np.int32]:
        """Voxels (z, y, x) [N, 3] inside the skull that are as dense as blood and are none, spread as `blood` is.

        What the paper found to be taken for blood: falx, tentorium, calcified plexus, beam hardening.
        """
        step = 4
        soft = ndimage.uniform_filter(np.clip(self.hu, -100, 400).astype(np.float32), (0, step, step))
        soft = soft[:, ::step, ::step]
        blood = ndimage.binary_dilation(self.labels[:, ::step, ::step] > 0, np.ones((1, 5, 5)))
        inside = np.zeros(soft.shape, bool)
        for z, plane in enumerate(soft):
            bones, count = ndimage.label(plane > SKULL_HU)
            if count:  # calcifications are bones of their own, the skull is the largest
                skull = bones == 1 + np.bincount(bones.ravel())[1:].argmax()
                near = ndimage.binary_dilation(skull, iterations=MARGIN_PX // step)
                inside[z] = ndimage.binary_fill_holes(skull) & ~near
        return _spread(inside & (soft > DENSE_HU) & ~blood) * np.array([1, step, step], np.int32)


def _spread(mask: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return voxels (z, y, x) [N, 3] of a mask, about 64 of each slice that has any."""
    chosen = [np.zeros((0, 3), np.int32)]
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        voxels = np.argwhere(mask[z])
        voxels = voxels[:: max(1, len(voxels) // 64)]
        chosen.append(np.column_stack([np.full(len(voxels), z), voxels]).astype(np.int32))
    return np.concatenate(chosen)


def stored(folder: Path) -> list[Head]:
    """Return the heads in `folder`, by name."""
    heads = []
    for path in sorted(folder.glob("*.labels.npy")):
        finding, seed = path.name.removesuffix(".labels.npy").rsplit("-", 1)
        heads.append(Head(folder, finding, int(seed)))
    return heads


def make(folder: Path, first_seed: int, count: int, workers: int) -> None:
    """Fill `folder` with the `count` heads from `first_seed` on, leaving out those that are there already."""
    folder.mkdir(parents=True, exist_ok=True)
    there = {head.seed for head in stored(folder)}
    missing = [seed for seed in range(first_seed, first_seed + count) if seed not in there]
    with Progress() as progress, ProcessPoolExecutor(workers) as pool:
        bar = progress.add_task(f"simulating heads into {folder}", total=count, completed=count - len(missing))
        for done in as_completed([pool.submit(_make_one, folder, seed) for seed in missing]):
            done.result()
            progress.advance(bar)


def _make_one(folder: Path, seed: int) -> None:
    """Simulate and store one head."""
    from training.simulator.scan import simulate_scan  # its atlas is loaded in the worker alone

    finding = FINDING_OF_SEED[seed % len(FINDING_OF_SEED)]
    scan = simulate_scan(seed, finding)
    if scan.hu.shape[1:] != (MATRIX, MATRIX):
        raise ValueError(f"head {seed} has a matrix of {scan.hu.shape[1:]}, training takes {MATRIX}")
    head = Head(folder, finding, seed)
    for suffix, array in (("hu", scan.hu.astype(np.int16)), ("labels", scan.labels.astype(np.uint8))):
        partial = folder / f".{head.name}.{suffix}.partial"
        with partial.open("wb") as file:
            np.save(file, array)
        partial.replace(folder / f"{head.name}.{suffix}.npy")
