# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Where a lesion is on its key slice, in pixels of the source image as it is stored: outline, area and diameters.

The key slice is that with most of the lesion's voxels, as in ABC/2. One outline can enclose one piece, so outline and
measurements are of the largest piece on that slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from appliance.findings.diameters import Diameters, diameters
from appliance.findings.finding import Finding, Lesion
from appliance.imaging.volume import Volume
from appliance.results.outline import largest_piece, outline


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


def planar_region(volume: Volume, finding: Finding, lesion: Lesion) -> PlanarRegion:
    """Return where a lesion of the finding is on its key slice."""
    index = lesion.slices[int(np.argmax(lesion.voxels))]
    piece, pieces = largest_piece(volume.turn.to_source(finding.lesion_map[index] == lesion.number))
    spacing_mm = volume.stored_spacing_mm
    return PlanarRegion(
        slice_index=index,
        outline=outline(piece),
        area_mm2=float(np.count_nonzero(piece) * np.prod(spacing_mm)),
        diameters=diameters(piece, spacing_mm),
        pieces=pieces,
    )


def whole_slice(volume: Volume) -> NDArray[np.float64]:
    """Return the outline of a whole slice of the volume, as `PlanarRegion.outline`."""
    rows, columns = volume.stored_matrix
    return np.array([(0, 0), (0, columns), (rows, columns), (rows, 0), (0, 0)], np.float64)
