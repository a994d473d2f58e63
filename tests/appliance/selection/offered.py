# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Series as a study offers them: headers alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydicom import Dataset

from tests.appliance.imaging.scans import image

BONE = {"ConvolutionKernel": "H60s", "WindowCenter": 500, "WindowWidth": 2500}


def scan(
    number: int, *, slices: int = 30, spacing_mm: float = 5, along: int = 2, matrix: int = 32, **attributes: Any
) -> list[Dataset]:
    """Return the images of one series; headers are all that is looked at."""
    step = np.eye(3)[along] * spacing_mm
    return [
        image(
            np.zeros((matrix, matrix)),
            step * z,
            number=z + 1,
            series=number,
            **{"SliceThickness": spacing_mm, "SeriesDescription": None} | attributes,
        )
        for z in range(slices)
    ]
