# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A simulated series as the service's volume: what it would have read from the DICOM files, without the files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from appliance.imaging.volume import Turn, Volume
from appliance.reading.pieces import CoordinatesMm, sheared_coordinates_mm
from simulator.geometry import ScanGeometry


def volume_of(hu: NDArray[np.int16], geometry: ScanGeometry) -> Volume:
    """Return hu [Z, Y, X], HU, on the planes of `geometry` as a volume; its headers hold what lesions are made with."""
    row, column, _ = geometry.axes
    orientation = [float(value) for value in (*row, *column)]
    headers = []
    for number, origin in enumerate(geometry.origins_mm, 1):
        header = Dataset()
        header.SeriesInstanceUID = "2.25.1"
        header.SOPInstanceUID = f"2.25.1.{number}"
        header.ImageOrientationPatient = orientation
        header.ImagePositionPatient = [float(value) for value in origin]
        headers.append(header)
    return Volume(
        hu=hu,
        pixel_spacing_mm=geometry.pixel_spacing_mm,
        positions_mm=np.asarray(geometry.positions_mm, np.float64),
        turn=Turn(),
        headers=tuple(headers),
    )


def coordinates_mm(geometry: ScanGeometry) -> CoordinatesMm:
    """Return where voxels lie: planes along the normal [Z], rows [Z, Y] and columns [Z, X], mm.

    Planes of a tilted gantry are shifted in themselves; only differences mean anything.
    """
    row, column, _ = geometry.axes
    origins = geometry.origins_mm
    return sheared_coordinates_mm(
        geometry.shape,
        np.asarray(geometry.positions_mm, np.float64),
        (origins @ column, origins @ row),
        geometry.pixel_spacing_mm,
    )
