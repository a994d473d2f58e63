# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A made head that closes at both ends, as heads do: brain in a shell of bone, cut into slices at any positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.imaging.instances import parse_instance
from appliance.pipeline import Study
from tests.appliance.imaging import scans

PIXEL_MM = 2.0
MATRIX = 120
LOW_MM, HIGH_MM = -75.0, 75.0
"""The range of a whole scan: the skull's outside ends at 70 mm on either side."""

_BRAIN_MM = (64.0, 80.0, 62.0)
_SKULL_MM = 7.0
_SKIN_MM = 4.0


def whole(step: float = 5.0) -> list[float]:
    """Return the positions of a whole scan, mm."""
    return list(np.arange(LOW_MM, HIGH_MM + step / 2, step))


def made_head(
    positions_mm: Sequence[float], matrix: int = MATRIX, pixel_mm: float = PIXEL_MM, *, opened: bool = False
) -> NDArray[np.int16]:
    """Return the head in HU, int16 [Z, Y, X]; position 0 is its middle. `opened`: a third of the skull is away."""
    side = (np.arange(matrix) - (matrix - 1) / 2) * pixel_mm
    z, y, x = np.meshgrid(np.asarray(positions_mm), side, side, indexing="ij")
    hu = np.full(z.shape, -1000.0)
    for reach, value in ((_SKULL_MM + _SKIN_MM, 30.0), (_SKULL_MM, 900.0), (0.0, 34.0)):
        axes = [axis + reach for axis in _BRAIN_MM]
        hu[(x / axes[0]) ** 2 + (y / axes[1]) ** 2 + (z / axes[2]) ** 2 < 1] = value
    if opened:
        hu[(hu > 100) & (np.abs(y) < -x)] = 30.0
    # Each position has its own noise, as no two slices of a scan are alike.
    noise = np.stack([np.random.default_rng(round(8000 + 8 * at)).normal(0, 4, hu.shape[1:]) for at in positions_mm])
    return np.asarray(np.where(hu > -900, hu + noise, hu), np.int16)


def images(
    positions_mm: Sequence[float],
    *,
    group: int = 1,
    matrix: int = MATRIX,
    pixel_mm: float = PIXEL_MM,
    opened: bool = False,
    **attributes: Any,
) -> list[Dataset]:
    """Return the images of the head at these positions, with UIDs of their own for each group."""
    made = scans.series(
        made_head(positions_mm, matrix, pixel_mm, opened=opened),
        positions_mm=positions_mm,
        pixel_mm=pixel_mm,
        **attributes,
    )
    for dataset in made:
        dataset.SOPInstanceUID = f"{dataset.SOPInstanceUID}.{group}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    return made


def study_of(made: Sequence[Dataset]) -> Study:
    """Return a study for the pipeline that holds these images."""
    files = {str(number): scans.file(dataset) for number, dataset in enumerate(made)}
    instances = tuple(parse_instance(ref, data) for ref, data in files.items())
    return Study(scans.STUDY, instances, files.__getitem__)
