# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Labels to measure the ceiling on: simulated heads of every type, size and slice distance, or heads kept on disk.

Only the labels are simulated; no scanner is needed to know where the blood is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import TYPES

DRAWN, SMALL, PUNCTATE = "drawn", "small", "punctate"
# Half of the studies are of the sizes of the paper's Table 1; the others are what these sizes hardly hold.
SIZES: Final = (DRAWN, PUNCTATE, DRAWN, SMALL)
VOLUMES_ML: Final = {SMALL: (0.01, 5.0), PUNCTATE: (0.002, 0.01)}
# Distances of slices in mm; None is the seed's own, 4 to 5 mm.
SPACINGS_MM: Final = (None, 2.5, None, 1.25)


@dataclass(frozen=True)
class Labelled:
    """Labels of a study: uint8 [Z, 512, 512] in the contract's orientation, and the mL of a voxel of each slice [Z].

    Heads on disk keep the thickness of their slices, not the distance: with slices that overlap their mL are too many.
    """

    name: str
    labels: NDArray[np.uint8] = field(repr=False)
    voxel_ml: NDArray[np.float64] = field(repr=False)


@dataclass(frozen=True)
class Order:
    """A study to be had: one on disk, or one to simulate."""

    seed: int
    diagnosis: str
    size: str = DRAWN
    spacing_mm: float | None = None
    folder: Path | None = None

    def labelled(self) -> Labelled:
        """Return its labels."""
        return self._simulate() if self.folder is None else self._read_stored(self.folder)

    def _read_stored(self, folder: Path) -> Labelled:
        from training.heads import Head

        head = Head(folder, self.diagnosis, self.seed)
        dy, dx = head.scan.pixel_spacing_mm
        return Labelled(head.name, np.asarray(head.labels), head.scan.thickness_mm * dy * dx / 1000)

    def _simulate(self) -> Labelled:
        from simulator.bleeding import simulate_head
        from simulator.fields import stream
        from simulator.geometry import draw_geometry

        geometry = draw_geometry(self.seed)
        if self.spacing_mm is not None:
            low, high = geometry.positions_mm[0], geometry.positions_mm[-1]
            positions = tuple(float(at) for at in np.arange(low, high, self.spacing_mm))
            geometry = replace(geometry, positions_mm=positions, thickness_mm=(self.spacing_mm,) * len(positions))
        volume = None
        if self.size != DRAWN:
            low, high = np.log(VOLUMES_ML[self.size])
            volume = float(np.exp(stream(self.seed, "ceiling").uniform(low, high)))
        head = simulate_head(self.seed, self.diagnosis, volume_ml=volume, geometry=geometry)
        spacing = "own" if self.spacing_mm is None else f"{self.spacing_mm:g}mm"
        return Labelled(f"{self.diagnosis}-{self.seed}-{self.size}-{spacing}", head.labels(geometry), geometry.voxel_ml)


def simulated_orders(count: int, seed: int) -> list[Order]:
    """Return `count` studies with blood from `seed` on: every type, then every size, then every slice distance."""
    orders = []
    for i in range(count):
        of_type, turn = divmod(i, len(TYPES))[::-1]
        size = SIZES[turn % len(SIZES)]
        spacing = SPACINGS_MM[(turn + turn // len(SIZES)) % len(SPACINGS_MM)]
        orders.append(Order(seed + i, str(TYPES[of_type]), size, spacing))
    return orders


def stored_orders(folder: Path, count: int | None = None) -> list[Order]:
    """Return the heads with blood in `folder`, at most `count`, types taking turns.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    from training.heads import find_heads

    by_type: dict[str, list[Order]] = {}
    for head in find_heads(folder):
        if head.diagnosis != "none":
            by_type.setdefault(head.diagnosis, []).append(Order(head.seed, head.diagnosis, folder=folder))
    turns = sorted((turn, diagnosis, one) for diagnosis, of in by_type.items() for turn, one in enumerate(of))
    if not turns:
        raise FileNotFoundError(f"no heads with blood in {folder}; `python -m training heads` makes some")
    return [one for *_, one in turns[:count]]
