# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the series classifier is shown of a series, and what it says: its contract, shared by training and service.

A series is shown as thumbnails of a few slices, taken at fixed fractions of the stack and as stored. A thumbnail has
block means of a slice, in windows that separate tissues (`soft`, `vessels`, `wide`), and how much pixels differ from a
near and from a farther neighbour (`fine`, `coarse`): the texture that a reconstruction kernel leaves and that a small
picture alone would lose. Every thumbnail is made here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

CLASSIFIER: Final = "series_classifier"
CONTRACT_VERSION: Final = 1


class SeriesClass(StrEnum):
    """What a series can be."""

    SOFT_TISSUE = "soft_tissue"
    """Axial slices of a head, soft-tissue kernel, no contrast agent."""
    SHARP = "sharp"
    """Axial slices of a head, bone or lung kernel."""
    REFORMAT = "reformat"
    """Coronal or sagittal planes of a head."""
    SCOUT = "scout"
    """A planning radiograph."""
    CONTRAST = "contrast"
    """A head with contrast agent in its vessels."""
    NOT_HEAD = "not_head"
    """Another part of the body, or a phantom."""


CLASSES: Final = tuple(SeriesClass)
FRACTIONS: Final = (0.3, 0.5, 0.7)
"""The places in the stack of the slices that are shown, as fractions from the first to the last."""
SIZE: Final = 96
CHANNELS: Final = ("soft", "vessels", "wide", "fine", "coarse")
INPUT: Final = "thumbnails"
INPUT_SHAPE: Final = (len(FRACTIONS), SIZE, SIZE, len(CHANNELS))
"""Of one series; a request holds [N, *INPUT_SHAPE] of uint8."""
OUTPUT: Final = "probabilities"
MOST_SERIES: Final = 8
"""How many series one request may hold."""

WINDOWS_HU: Final = {"soft": (-20, 100), "vessels": (100, 500), "wide": (-1000, 1000)}
_TEXTURE_HU: Final = (-200, 300)
"""Texture is measured between these HU, so that the edges of bone and air do not dominate it."""
_NEIGHBOURS_PX: Final = {"fine": 1, "coarse": 3}
_MOST_TEXTURE_HU: Final = 200.0
_AIR_HU: Final = -1024
_ENOUGH_ROWS: Final = 2 * SIZE


def metadata() -> dict[str, str]:
    """Return what a model of this contract says of itself, as strings."""
    return {
        "contract_version": str(CONTRACT_VERSION),
        "classes": ",".join(CLASSES),
        "fractions": ",".join(map(str, FRACTIONS)),
        "size": str(SIZE),
        "channels": ",".join(CHANNELS),
    }


def shown_slices(count: int) -> tuple[int, ...]:
    """Return the indices of the slices of a stack of `count` that are shown."""
    return tuple(round(fraction * (count - 1)) for fraction in FRACTIONS)


def thumbnail(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return the thumbnail [SIZE, SIZE, channels] of a slice [rows, columns] in HU, padded to a square with air."""
    rows, columns = hu.shape
    side = max(rows, columns)
    if rows != columns:
        square = np.full((side, side), _AIR_HU, np.int16)
        top, left = (side - rows) // 2, (side - columns) // 2
        square[top : top + rows, left : left + columns] = hu
        hu = square
    # Every second row of 512 says as much as all of them, in half the time.
    hu = hu[:: max(1, side // _ENOUGH_ROWS)]
    out = np.empty(INPUT_SHAPE[1:], np.uint8)
    for channel, (low, high) in enumerate(WINDOWS_HU.values()):
        means = _block_means(np.clip(hu, low, high))
        out[..., channel] = np.rint((means - low) * (255 / (high - low)))
    tissue = np.clip(hu, *_TEXTURE_HU)
    for channel, apart in enumerate(_NEIGHBOURS_PX.values(), start=len(WINDOWS_HU)):
        differences = np.zeros_like(tissue)
        differences[:, apart:] = np.abs(tissue[:, apart:] - tissue[:, :-apart])
        texture = np.log1p(_block_means(differences)) / np.log1p(_MOST_TEXTURE_HU)
        out[..., channel] = np.rint(255 * np.clip(texture, 0, 1))
    return out


def _block_means(plane: NDArray[np.int16]) -> NDArray[np.float64]:
    """Return the means [SIZE, SIZE] of the blocks that a plane [rows, columns] falls into."""
    edges = [np.arange(SIZE) * size // SIZE for size in plane.shape]
    rows, columns = (np.maximum(np.diff(np.append(at, size)), 1) for at, size in zip(edges, plane.shape, strict=True))
    sums = np.add.reduceat(np.add.reduceat(plane, edges[0], axis=0, dtype=np.int32), edges[1], axis=1)
    return np.asarray(sums / np.outer(rows, columns))
