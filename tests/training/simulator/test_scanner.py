# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds: noise of the asked strength and colour, blur, HU shift; measured on a water cylinder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.simulator.scanner import HU_MAX, HU_MIN, Scanner, scanned

SPACING = (0.45, 0.45)
QUIET = Scanner(noise_hu=0.0, psf_mm=0.8, overshoot=0.0)


def water(size: int = 256, planes: int = 3) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    plane = np.where(np.hypot(y, x) < 0.4 * size, 0.0, -1000.0).astype(np.float32)
    return np.repeat(plane[None], planes, axis=0)


def scan_of(phantom: np.ndarray, scanner: Scanner, seed: int = 0, thickness: float = 5.0) -> np.ndarray:
    return scanned(phantom, SPACING, np.full(len(phantom), thickness), scanner, np.random.default_rng(seed))


def middle(volume: np.ndarray, half: int = 25) -> np.ndarray:
    centre = volume.shape[1] // 2
    return volume[:, centre - half : centre + half, centre - half : centre + half].astype(float)


def test_the_same_stream_gives_the_same_scan():
    np.testing.assert_array_equal(scan_of(water(), Scanner(), 3), scan_of(water(), Scanner(), 3))


def test_noise_has_the_asked_strength_in_the_middle():
    noisy = scan_of(water(planes=8), replace(QUIET, noise_hu=5.0))

    assert middle(noisy).std() == pytest.approx(5.0, rel=0.2)


def test_noise_falls_with_the_square_root_of_thickness():
    thin = middle(scan_of(water(planes=6), replace(QUIET, noise_hu=4.0), thickness=1.25)).std()
    thick = middle(scan_of(water(planes=6), replace(QUIET, noise_hu=4.0), thickness=5.0)).std()

    assert thin / thick == pytest.approx(2.0, rel=0.1)


def test_noise_is_weaker_in_the_air_around():
    noisy = scan_of(water(planes=4), replace(QUIET, noise_hu=5.0)).astype(float)

    assert noisy[:, 10:40, 10:40].std() < 0.75 * middle(noisy).std()


def test_a_blotchy_kernel_has_its_noise_at_lower_frequencies():
    def mean_frequency(peak: float) -> float:
        patch = middle(scan_of(water(), replace(QUIET, noise_hu=5.0, noise_peak_per_mm=peak)), half=40)
        power = (np.abs(np.fft.fft2(patch - patch.mean())) ** 2).mean(0)
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(80, SPACING[0]), np.fft.fftfreq(80, SPACING[1]), indexing="ij"))
        return float((power * f).sum() / power.sum())

    assert mean_frequency(0.15) < 0.7 * mean_frequency(0.4)


def test_water_stays_where_offset_and_gain_put_it():
    scan = scan_of(water() + 40 * (water() > -500), replace(QUIET, offset_hu=3.0, gain=1.02))

    assert middle(scan).mean() == pytest.approx(40 * 1.02 + 3, abs=0.6)


def test_a_wider_point_spread_makes_a_softer_edge():
    def rise(psf: float) -> float:
        line = scan_of(water(), replace(QUIET, psf_mm=psf))[0, 128].astype(float)
        return float(np.abs(np.diff(line)).max())

    assert rise(1.2) < 0.85 * rise(0.5)


def test_overshoot_lifts_the_edge_of_an_object():
    plain = scan_of(water(), QUIET).astype(float)
    sharp = scan_of(water(), replace(QUIET, overshoot=0.8)).astype(float)

    assert sharp[0].max() > plain[0].max() + 20


def test_values_stay_within_what_scanners_store():
    phantom = water()
    phantom[:, 100:110, 100:110] = 9000
    scan = scan_of(phantom, Scanner(noise_hu=9))

    assert scan.dtype == np.int16
    assert scan.min() >= HU_MIN
    assert scan.max() == HU_MAX


def test_a_crop_is_scanned_without_dark_borders():
    crop = np.full((2, 64, 96), 35.0, np.float32)
    scan = scan_of(crop, QUIET)

    assert scan.shape == crop.shape
    np.testing.assert_allclose(scan, 35, atol=2)


def test_drawn_scanners_stay_in_the_stated_ranges():
    drawn = [Scanner.drawn(np.random.default_rng(seed)) for seed in range(200)]

    assert all(2 <= s.noise_hu <= 10 for s in drawn)
    assert all(0.5 <= s.psf_mm <= 1.2 for s in drawn)
    assert all(abs(s.offset_hu) <= 6 and 0.97 <= s.gain <= 1.03 for s in drawn)
    assert max(s.noise_hu for s in drawn) > 3 * min(s.noise_hu for s in drawn)
