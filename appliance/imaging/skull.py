# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What a skull encloses: brain within a shell of bone, which only a head has.

Rays run in all directions from the middle of each slice's contents. In a head they meet bone all around, and before the
bone is brain: nearly all of it between water and blood. A leg has its bone inside, a chest has lung within its ribs, a
pelvis is open and holds fat, a phantom has no shell of bone. Bone may be missing on a large part of the circumference
(sutures and fontanelles, craniectomies): there the shell is assumed to continue between the edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.imaging.volume import Volume

BONE_HU: Final = 180
"""The least HU of a block of `_BLOCK_MM` of bone: an infant's thin skull reaches it, brain and blood do not."""
BODY_HU: Final = -200
_BRAIN_HU: Final = (-10, 100)
_BLOCK_MM: Final = 1.6
_RAYS: Final = 72
STEP_MM: Final = 2.0
"""How far samples along a ray lie apart, mm."""
_REACH_MM: Final = 140.0
# A slice shows brain in a skull if this share of the rays meets bone (a hemicraniectomy leaves about two thirds), and
# if the enclosed area is this large (a premature newborn's 40 cm2, an adult's 220 cm2), has this share of brain by its
# HU, and is this share of the slice's contents.
_RING: Final = 0.5
_AREA_CM2: Final = (25.0, 320.0)
_BRAIN: Final = 0.75
_OF_BODY: Final = 0.3
_MOST_SLICES: Final = 32
"""How many slices are looked at, evenly spread; more would show nothing new."""


@dataclass(frozen=True, eq=False)
class SkullSlice:
    """What rays from the middle of a slice meet, if a skull encloses brain on it.

    Attributes
    ----------
    z: index of the slice in the volume.
    middle: y, x of the middle of the slice's contents, in blocks.
    spacing_mm: distance of blocks, y and x.
    blocks: means of blocks of the slice [Y, X], HU.
    rays: HU along the rays [angle, radius], with samples `STEP_MM` apart.
    bone, on_image: for each sample, whether it is bone, and whether it lies on the image.
    shell_mm: distance of the skull's outer edge from the middle, by angle.
    """

    z: int
    middle: tuple[float, float]
    spacing_mm: tuple[float, float]
    blocks: NDArray[np.float32]
    rays: NDArray[np.float32]
    bone: NDArray[np.bool_]
    on_image: NDArray[np.bool_]
    shell_mm: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Enclosed:
    """What is enclosed by a skull.

    Attributes
    ----------
    height_mm: how much of the stack shows it.
    lower_hu, median_hu, upper_hu: medians over these slices of the quartiles of what is enclosed; 0 without any slice.
    slices: the slices that were looked at and show it, foot to head.
    """

    height_mm: float
    lower_hu: float
    median_hu: float
    upper_hu: float
    slices: tuple[SkullSlice, ...] = ()


def measure_enclosed(volume: Volume) -> Enclosed:
    """Return what is enclosed by a skull in the volume."""
    looked_at = slices_to_look_at(volume)
    quartiles, slices = [], []
    for z in looked_at:
        found = _enclosed_values(int(z), *blocks(volume.hu[z], volume.pixel_spacing_mm))
        if found is not None:
            values, one = found
            quartiles.append([values[len(values) * quarter // 4] for quarter in (1, 2, 3)])
            slices.append(one)
    if not quartiles:
        return Enclosed(0.0, 0.0, 0.0, 0.0)
    share = len(quartiles) / len(looked_at)
    lower, median, upper = np.median(quartiles, axis=0).tolist()
    return Enclosed(share * float(volume.slice_spans_mm.sum()), lower, median, upper, tuple(slices))


def slices_to_look_at(volume: Volume) -> NDArray[np.int64]:
    """Return the indices of the slices that are enough to judge a volume, rising."""
    return np.unique(np.linspace(0, volume.slices - 1, min(volume.slices, _MOST_SLICES)).round().astype(np.int64))


def blocks(
    plane: NDArray[np.int16], pixel_spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], tuple[float, float]]:
    """Return the means of blocks of about `_BLOCK_MM` of a slice [Y, X], and the distance of blocks, mm."""
    tall, wide = (max(1, round(_BLOCK_MM / mm)) for mm in pixel_spacing_mm)
    rows, columns = plane.shape[0] // tall, plane.shape[1] // wide
    total = np.zeros((rows, columns), np.int32)  # one pixel of all blocks at a time: ten times as fast as a mean
    for row in range(tall):
        for column in range(wide):
            total += plane[row : rows * tall : tall, column : columns * wide : wide]
    spacing_mm = tall * pixel_spacing_mm[0], wide * pixel_spacing_mm[1]
    return np.asarray(total / np.float32(tall * wide), np.float32), spacing_mm


def _enclosed_values(
    z: int, plane: NDArray[np.float32], spacing_mm: tuple[float, float]
) -> tuple[NDArray[np.float32], SkullSlice] | None:
    """Return the HU of what a skull encloses on slice `z` [Y, X], rising, each for the same area; None without any."""
    body = plane > BODY_HU
    if not body.any():
        return None
    middle = [
        float(np.average(np.arange(size), weights=body.sum(axis=1 - axis))) for axis, size in enumerate(body.shape)
    ]
    angles = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    radii = np.arange(STEP_MM / 2, _REACH_MM, STEP_MM)
    y = np.rint(middle[0] + np.sin(angles)[:, None] * radii / spacing_mm[0]).astype(int)
    x = np.rint(middle[1] + np.cos(angles)[:, None] * radii / spacing_mm[1]).astype(int)
    height, width = plane.shape
    on_image = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    rays = np.where(on_image, plane[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)], np.float32(-1000))

    bone = rays > BONE_HU
    meets = np.flatnonzero(bone.any(axis=1))
    if len(meets) < _RING * _RAYS:
        return None
    # The outermost bone is the shell: calcium or metal inside it does not count.
    outermost = bone.shape[1] - 1 - np.argmax(bone[meets, ::-1], axis=1)
    shell = np.interp(np.arange(_RAYS), meets, outermost, period=_RAYS)
    inside = (np.arange(len(radii)) < shell[:, None]) & ~bone
    areas = np.broadcast_to(radii, inside.shape)[inside] * (STEP_MM * 2 * np.pi / _RAYS / 100)
    area = float(areas.sum())
    least, most = _AREA_CM2
    if not max(least, _OF_BODY * body.sum() * spacing_mm[0] * spacing_mm[1] / 100) <= area <= most:
        return None
    values = rays[inside]
    if areas[(values > _BRAIN_HU[0]) & (values < _BRAIN_HU[1])].sum() < _BRAIN * area:
        return None
    # Rays lie closer together in the middle, so each value is repeated in proportion to its area.
    order = np.argsort(values)
    even = np.searchsorted(np.cumsum(areas[order]), np.linspace(0, area, 400, endpoint=False))
    seen = SkullSlice(z, (middle[0], middle[1]), spacing_mm, plane, rays, bone, on_image, (shell + 1) * STEP_MM)
    return np.asarray(values[order][even]), seen
