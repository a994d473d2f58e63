# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Noise power and edge spread of a scanner, measured as physicists do: on its scans of a phantom, not on its settings.

The phantom is a disc in air of the size of a head. Noise power is the mean squared transform of patches in its middle,
the mean of all slices taken away, averaged over directions (ICRU Report 87, 2012; Friedman et al., Med Phys 2013). The
edge is that of an insert in the middle, oversampled because its pixels lie at all distances from the circle (Richard et
al., Med Phys 2012).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from simulator.scanner import Scanner, acquire

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]

MATRIX = 320
DISC_MM = 90.0  # its radius
WATER_HU = 30.0
INSERT_MM = 20.0  # its radius
PATCH_PX = 96


def noise_power(scanner: Scanner, *, pixel_mm: float = 0.6, slices: int = 16, seed: int = 0) -> Curve:
    """Return the noise power of a scanner at 5 mm thickness in the middle of a head-sized disc.

    Returns
    -------
    frequency: 1/mm, rising, up to the Nyquist frequency.
    power: HU^2 mm^2 at each; its integral over the plane of frequencies is the variance.
    """
    plane = _disc(pixel_mm, DISC_MM, WATER_HU, -1000.0)
    return noise_power_of(_scans(plane, pixel_mm, scanner, slices, seed), pixel_mm)


def noise_power_of(volume: NDArray[np.integer] | NDArray[np.floating], pixel_mm: float) -> Curve:
    """Return the noise power of scans [n, Y, X] of one object, from a patch in their middle, as `noise_power` does."""
    top, left = ((n - PATCH_PX) // 2 for n in volume.shape[1:])
    patches = volume[:, top : top + PATCH_PX, left : left + PATCH_PX].astype(np.float64)
    patches -= patches.mean(0)
    window = np.outer(np.hanning(PATCH_PX), np.hanning(PATCH_PX))
    count = len(volume)
    power = (np.abs(np.fft.fft2(patches * window)) ** 2).sum(0) / (count - 1) * pixel_mm**2 / (window**2).sum()
    f = np.fft.fftfreq(PATCH_PX, pixel_mm)
    return _by_distance(np.hypot(f[:, None], f), power, 1 / (PATCH_PX * pixel_mm), 0.5 / pixel_mm)


def edge_spread(
    scanner: Scanner, *, rise_hu: float = 300.0, pixel_mm: float = 0.45, slices: int = 6, seed: int = 0
) -> Curve:
    """Return the edge of an insert that rises by `rise_hu` above water, as a scanner shows it.

    Returns
    -------
    distance: mm from the edge, rising outwards.
    value: HU there, as a share of the rise: 1 within the insert, 0 outside it, beyond both where the kernel overshoots.
    """
    disc = _disc(pixel_mm, DISC_MM * pixel_mm / 0.6, WATER_HU, -1000.0)
    insert = _disc(pixel_mm, INSERT_MM, WATER_HU + rise_hu, WATER_HU)
    mean = _scans(np.where(insert > WATER_HU, insert, disc), pixel_mm, scanner, slices, seed).mean(0)
    at = (np.arange(MATRIX) - (MATRIX - 1) / 2) * pixel_mm
    away = np.hypot(at[:, None], at) - INSERT_MM
    near = np.abs(away) < 8.0
    distance, value = _by_distance(away[near] + 8.0, mean[near], 0.1, 16.0)
    inside, outside = value[distance < 3.0].mean(), value[distance > 13.0].mean()
    return distance - 8.0, (value - outside) / (inside - outside)


def transfer(edge: Curve) -> Curve:
    """Return the modulation transfer (frequency in 1/mm, share) that an edge spread stands for."""
    distance, value = edge
    step = float(distance[1] - distance[0])
    line = -np.gradient(value, step) * np.hanning(len(value))
    spectrum = np.abs(np.fft.rfft(line))
    return np.asarray(np.fft.rfftfreq(len(line), step), np.float64), np.asarray(spectrum / spectrum[0], np.float64)


def frequency_of(curve: Curve, share: float) -> float:
    """Return where a transfer first falls below a share, 1/mm."""
    frequency, value = curve
    return float(frequency[np.flatnonzero(value < share)[0]])


def _disc(pixel_mm: float, radius_mm: float, inside: float, outside: float) -> NDArray[np.float32]:
    """Return a disc [MATRIX, MATRIX], HU, with the partial volume of its rim."""
    at = (np.arange(MATRIX) - (MATRIX - 1) / 2) * pixel_mm
    filled = np.clip((radius_mm - np.hypot(at[:, None], at)) / pixel_mm + 0.5, 0, 1)
    return np.asarray(outside + (inside - outside) * filled, np.float32)


def _scans(
    plane: NDArray[np.float32], pixel_mm: float, scanner: Scanner, slices: int, seed: int
) -> NDArray[np.float64]:
    """Return scans [slices, Y, X] of one plane, 5 mm thick, by a scanner that lies still and stores fine steps."""
    still = replace(scanner, motion_mm=0.0, step_hu=1, slice_blur=0.0)
    stack = np.repeat(plane[None], slices, axis=0)
    spacing = (pixel_mm, pixel_mm)
    return acquire(stack, spacing, np.full(slices, 5.0), still, np.random.default_rng(seed)).astype(np.float64)


def _by_distance(distance: NDArray[np.float64], values: NDArray[np.float64], step: float, end: float) -> Curve:
    """Return the means of `values` in bins of their distance: the bins' middles, and the means."""
    index = (distance / step).astype(np.intp).ravel()
    bins = round(end / step)
    kept = index < bins
    count = np.bincount(index[kept], minlength=bins)
    total = np.bincount(index[kept], values.ravel()[kept], bins)
    there = count > 0
    middle = (np.arange(bins) + 0.5) * step
    return np.asarray(middle[there], np.float64), np.asarray(total[there] / count[there], np.float64)
