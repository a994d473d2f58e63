# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where a lesion is on its key slice, in pixels of the source image as it is stored: outline, area and diameters.

The key slice is that with most of the lesion's voxels, as in ABC/2. One outline can enclose one piece, so outline and
measurements are of the largest piece on that slice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.findings.diameters import Diameters, diameters
from appliance.findings.finding import Finding, Lesion
from appliance.imaging.volume import Volume
from appliance.results.outline import largest_piece, outline

_AIR_HU: Final = -200
"""Denser pixels are the head, or what it lies on."""


@dataclass(frozen=True, eq=False)
class PlanarRegion:
    """A lesion on its key slice.

    Attributes
    ----------
    slice_index: Z index of the slice.
    outline: closed, float64 [N, 2], (row, column) on the stored plane; the first pixel reaches from 0 to 1.
    area_mm2: of the piece's pixels; a hole in it does not count.
    diameters: long and short axis, their ends on the stored plane too.
    pieces: how many pieces of the lesion are on the slice; the outlined one is the largest.
    """

    slice_index: int
    outline: NDArray[np.float64]
    area_mm2: float
    diameters: Diameters
    pieces: int


def key_slice(lesion: Lesion) -> int:
    """Return the Z index of the slice with most of a lesion's voxels."""
    return lesion.slices[int(np.argmax(lesion.voxels))]


def planar_region(volume: Volume, finding: Finding, lesion: Lesion) -> PlanarRegion:
    """Return where a lesion of the finding is on its key slice."""
    index = key_slice(lesion)
    piece, pieces = largest_piece(volume.turn.to_source(finding.lesion_map[index] == lesion.number))
    spacing_mm = volume.stored_spacing_mm
    return PlanarRegion(
        slice_index=index,
        outline=outline(piece),
        area_mm2=float(np.count_nonzero(piece) * np.prod(spacing_mm)),
        diameters=diameters(piece, spacing_mm),
        pieces=pieces,
    )


def head_frame(volume: Volume, index: int) -> NDArray[np.float64]:
    """Return the frame around the head on slice `index`, as `PlanarRegion.outline`; around the slice if all is air."""
    tissue = volume.turn.to_source(volume.hu[index] > _AIR_HU)
    rows, columns = (np.flatnonzero(tissue.any(axis=axis)) for axis in (1, 0))
    height, width = volume.stored_matrix
    top, bottom = (rows[0], rows[-1] + 1) if len(rows) else (0, height)
    left, right = (columns[0], columns[-1] + 1) if len(columns) else (0, width)
    return np.array([(top, left), (top, right), (bottom, right), (bottom, left), (top, left)], np.float64)
