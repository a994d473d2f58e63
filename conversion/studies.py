# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The simulated studies that precisions are judged and calibrated on, kept on disk so that a stopped run can continue.

They are of the `realistic` population, and no training, validation or reported cohort uses their seeds. Six of ten
bleed, two of each type.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import chunks
from appliance.reading.pieces import CoordinatesMm, sheared_coordinates_mm
from simulator.cohort import Form, find_missing, make
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.manifest import Entry
from simulator.population import POPULATIONS, REALISTIC
from simulator.recipes import draw_entries
from simulator.revision import claim, simulator_revision

JUDGED_FROM: Final = 7_600_000
"""The first seed of the studies that precisions are judged on."""
CALIBRATED_FROM: Final = 7_650_000
"""The first seed of the studies that 8-bit scales are chosen on."""
MADE_WITH: Final = ".made_with.json"


@dataclass(frozen=True)
class LabelledScan:
    """A study with its truth: hu int16 and labels uint8 [Z, 512, 512], and where its planes lie."""

    hu: NDArray[np.int16] = field(repr=False)
    labels: NDArray[np.uint8] = field(repr=False)
    geometry: ScanGeometry = field(repr=False)

    @property
    def coordinates_mm(self) -> CoordinatesMm:
        """Where voxels lie: planes along the normal [Z], rows [Z, Y] and columns [Z, X], mm."""
        row, column, _ = self.geometry.axes
        origins = self.geometry.origins_mm
        positions = np.asarray(self.geometry.positions_mm, np.float64)
        shifts = (origins @ column, origins @ row)
        return sheared_coordinates_mm(self.labels.shape, positions, shifts, self.geometry.pixel_spacing_mm)


def judged_entries(studies: int) -> tuple[Entry, ...]:
    """Return the first studies that precisions are judged on."""
    return draw_entries(studies, JUDGED_FROM, REALISTIC)


def calibration_entries(studies: int) -> tuple[Entry, ...]:
    """Return the first studies that 8-bit scales are chosen on."""
    return draw_entries(studies, CALIBRATED_FROM, REALISTIC)


def make_missing(entries: Sequence[Entry], folder: Path, workers: int) -> Iterator[None]:
    """Simulate the studies that `folder` lacks; yield once for each of its studies, the existing ones first.

    Raises
    ------
    ValueError
        If the folder holds studies of another simulator, or one cannot be made.
    """
    claim(folder, MADE_WITH, "simulated studies", simulator=simulator_revision())
    lacking = find_missing(entries, folder)
    for _ in range(len(entries) - len(lacking)):
        yield
    for entry, error in make(lacking, folder, Form.ARRAYS, workers):
        if error is not None:
            raise ValueError(f"{entry.name} could not be simulated: {error}")
        yield


def load(entry: Entry, folder: Path) -> LabelledScan:
    """Return a study that `make_missing` made."""
    hu, labels = (np.load(folder / entry.name / f"{name}.npy") for name in ("hu", "labels"))
    geometry = draw_geometry(entry.seed, POPULATIONS[entry.population])
    if geometry.shape != hu.shape:
        raise ValueError(f"{folder / entry.name} holds {hu.shape}, and its seed's planes are {geometry.shape}")
    return LabelledScan(hu, labels, geometry)


def middle_chunks(entries: Sequence[Entry], folder: Path) -> Iterator[NDArray[np.float32]]:
    """Yield the middle chunk of each study, and its lowest, hu float32 [20, 512, 512]."""
    for entry in entries:
        hu = load(entry, folder).hu
        indices = chunks(len(hu))
        for number in sorted({0, len(indices) // 2}):
            yield hu[indices[number]].astype(np.float32)
