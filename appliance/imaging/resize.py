# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""In-plane resizing to the network's matrix ("if necessary, this volume was resized to an in-plane resolution matrix
of 512 x 512", paper, "Image Preprocessing"): padded to a square field, then resized. The way back, of boxes and masks,
is `appliance.reading.masks`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from appliance.imaging.pixels import AIR_HU
from appliance.reading.square import SquareField


def to_square_field(hu: NDArray[np.int16], pixel_spacing_mm: tuple[float, float]) -> NDArray[np.int16]:
    """Return the slices [Z, Y, X] (HU) in a square field, with air around them; not copied if the field is square.

    `pixel_spacing_mm` is the distance between rows and between columns.
    """
    slices, rows, columns = hu.shape
    field = SquareField.about((rows, columns), pixel_spacing_mm)
    if (field.rows, field.columns) == (rows, columns):
        return hu
    square = np.full((slices, field.rows, field.columns), AIR_HU, np.int16)
    square[:, field.top : field.top + rows, field.left : field.left + columns] = hu
    return square


def to_matrix(hu: NDArray[np.int16], matrix: int) -> NDArray[np.int16]:
    """Return the slices [Z, Y, X] (HU) on a grid of [Z, matrix, matrix] that covers the same field.

    The edges of the field map to each other: grid coordinate y becomes y * matrix / Y, and x likewise. The
    interpolation is linear; towards a coarser grid every source pixel counts (the filter widens with the step), so that
    thin blood does not fall between the samples. Slices that have this matrix already are returned without a copy.
    """
    if hu.shape[1:] == (matrix, matrix):
        return hu
    resized = np.empty((hu.shape[0], matrix, matrix), np.int16)
    for z, plane in enumerate(hu):
        image = Image.fromarray(plane.astype(np.float32))
        resized[z] = np.rint(np.asarray(image.resize((matrix, matrix), Image.Resampling.BILINEAR)))
    return resized
