# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Statistics of a scan with the bleed masked out: what a classifier gets that must not find the blood.

Masked is the labelled blood of the bleeding head and all within `REACH_MM` of it, in the scan with blood and in its
matched negative alike, so that the mask tells nothing. What is left is described as a network could use it without
seeing blood: how the HU are distributed, noise and its grain, bone, scalp and air, edges, left against right.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from simulator.geometry import ScanGeometry

Field = NDArray[np.float32]
Mask = NDArray[np.bool_]

REACH_MM: Final = 10.0
"""How far around the labelled blood voxels are masked: its unlabelled rim, oedema, and the tissue it presses on."""

LEVELS: Final = ("low", "middle", "high")
"""Thirds of a scan, foot to head."""
_EDGES_HU: Final = (-50, 0, 6, 12, 18, 24, 28, 32, 36, 40, 46, 55, 70, 250)
_BONE_HU: Final = 250
_SMOOTH_PX: Final = 3


def mask_blood(labels: NDArray[np.uint8], geometry: ScanGeometry) -> Mask:
    """Return where a pair of scans is not looked at, bool [Z, Y, X]: within `REACH_MM` of labelled blood."""
    if not labels.any():
        return np.zeros(labels.shape, bool)
    step = (float(np.mean(geometry.spans_mm)), *geometry.pixel_spacing_mm)
    return np.asarray(ndimage.distance_transform_edt(labels == 0, sampling=step) <= REACH_MM)


def skull_bone(hu: NDArray[np.int16]) -> Mask:
    """Return the largest bone of each slice, bool [Z, Y, X]."""
    skull = np.zeros(hu.shape, bool)
    for z, plane in enumerate(hu):
        bones, count = ndimage.label(plane > _BONE_HU)
        if count:
            skull[z] = bones == 1 + np.bincount(bones.ravel())[1:].argmax()
    return skull


def skull_cavity(hu: NDArray[np.int16]) -> Mask:
    """Return the inside of the skull, bool [Z, Y, X]: what its largest bone closes in on a slice, without the bone."""
    inside = np.zeros(hu.shape, bool)
    for z, skull in enumerate(skull_bone(hu)):
        inside[z] = ndimage.binary_erosion(ndimage.binary_fill_holes(skull) & ~skull, iterations=2)
    return inside


def statistics_of(hu: NDArray[np.int16], hidden: Mask) -> dict[str, float]:
    """Return the statistics of a scan [Z, Y, X] outside `hidden`; NaN where too little is left."""
    # A pixel more: what smoothing brings in from behind the mask does not count either.
    seen = ~ndimage.binary_dilation(hidden, np.ones((1, _SMOOTH_PX, _SMOOTH_PX)))
    inside = skull_cavity(hu) & seen
    values = np.clip(hu, -1024, 2000).astype(np.float32)
    smooth = ndimage.uniform_filter(values, (0, _SMOOTH_PX, _SMOOTH_PX))
    found: dict[str, float] = {}
    for name, part in zip(LEVELS, np.array_split(np.arange(len(hu)), len(LEVELS)), strict=True):
        level = slice(int(part[0]), int(part[-1]) + 1)
        found |= {
            f"{name} {key}": value
            for key, value in _level(values[level], smooth[level], inside[level], seen[level]).items()
        }
    return found


def _level(hu: Field, smooth: Field, inside: Mask, seen: Mask) -> dict[str, float]:
    """Return the statistics of one third of a scan."""
    found = _inside(hu, smooth, inside)
    bone = (hu > _BONE_HU) & seen
    head = (smooth > -300) & seen
    found["bone share"] = _share(bone.sum(), head.sum())
    found["bone HU"] = _mean(hu[bone])
    found["fat share"] = _share(((smooth > -150) & (smooth < -40) & seen).sum(), head.sum())
    found["scalp HU"] = _mean(hu[(smooth > 0) & (smooth < 120) & seen & ~inside])
    outside = (smooth < -900) & seen
    found["air spread"] = float(hu[outside].std()) if outside.any() else np.nan
    steepness = np.abs(np.diff(hu, axis=2))[seen[..., 1:] & (smooth[..., 1:] > 100)]
    found["bone edge"] = float(np.percentile(steepness, 90)) if steepness.size else np.nan
    return found


def _inside(hu: Field, smooth: Field, inside: Mask) -> dict[str, float]:
    """Return the statistics inside the skull: the distribution of HU, the noise, left against right."""
    values = smooth[inside]
    counts = np.histogram(values, _EDGES_HU)[0]
    found = {
        f"{low} to {high} HU": _share(count, values.size)
        for low, high, count in zip(_EDGES_HU, _EDGES_HU[1:], counts, strict=False)
    }
    found["mean"] = _mean(values)
    found["spread"] = float(values.std()) if values.size else np.nan
    grain = hu - smooth
    pairs = inside[..., 1:] & inside[..., :-1]
    found["noise"] = float(np.median(np.abs(grain[inside]))) if values.size else np.nan
    power = float((grain[inside] ** 2).mean()) if values.size else 0.0
    found["grain"] = _mean((grain[..., 1:] * grain[..., :-1])[pairs]) / power if power > 0 and pairs.any() else np.nan
    half = hu.shape[2] // 2
    right, left = (smooth[..., side][inside[..., side]] for side in (slice(half), slice(half, None)))
    found["left against right"] = abs(_mean(right) - _mean(left))
    found["fluid left against right"] = abs(_mean(right < 15) - _mean(left < 15))
    return found


def _mean(values: NDArray[np.floating] | Mask) -> float:
    """Return the mean, NaN of nothing."""
    return float(values.mean()) if values.size else float("nan")


def _share(part: int | np.integer, whole: int | np.integer) -> float:
    """Return a share, NaN of nothing."""
    return float(part / whole) if whole else float("nan")
