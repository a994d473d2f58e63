# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What the scanner adds: noise of the asked strength and colour, blur, HU shift; measured on a water cylinder."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.fields import stream
from simulator.population import POPULATIONS, REALISTIC, TRAINING
from simulator.scanner import HU_MAX, HU_MIN, Scanner, acquire
from simulator.scanner.measured import edge_spread, frequency_of, noise_power, transfer

SPACING = (0.45, 0.45)
QUIET = Scanner(noise_hu=0.0, psf_mm=0.8, overshoot=0.0)


def water(size: int = 256, planes: int = 3) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    plane = np.where(np.hypot(y, x) < 0.4 * size, 0.0, -1000.0).astype(np.float32)
    return np.repeat(plane[None], planes, axis=0)


def scan_of(phantom: np.ndarray, scanner: Scanner, seed: int = 0, thickness: float = 5.0) -> np.ndarray:
    return acquire(phantom, SPACING, np.full(len(phantom), thickness), scanner, np.random.default_rng(seed))


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


def mean_frequency(scanner: Scanner) -> float:
    frequency, power = noise_power(scanner)
    return float((power * frequency**2).sum() / (power * frequency).sum())


def test_measured_noise_power_has_the_asked_peak_and_strength():
    frequency, power = noise_power(replace(QUIET, noise_hu=5.0, noise_peak_per_mm=0.3), slices=24)
    ring = 2 * np.pi * frequency * (frequency[1] - frequency[0])

    assert np.sqrt((power * ring).sum()) == pytest.approx(5.0, rel=0.15)
    assert frequency[power.argmax()] == pytest.approx(0.3, abs=0.08)
    assert power[0] < 0.3 * power.max()


def test_blotchy_and_soft_kernels_have_their_noise_at_lower_frequencies():
    standard = replace(QUIET, noise_hu=5.0, noise_peak_per_mm=0.3)

    assert mean_frequency(replace(standard, noise_peak_per_mm=0.18)) < 0.8 * mean_frequency(standard)
    assert mean_frequency(replace(standard, blotch=0.9)) < 0.75 * mean_frequency(standard)


def test_measured_transfer_falls_to_half_where_the_point_spread_says():
    for psf in (0.6, 1.0):
        sigma = psf / 2.355
        expected = np.sqrt(np.log(2) / 2) / (np.pi * sigma)
        assert frequency_of(transfer(edge_spread(replace(QUIET, psf_mm=psf))), 0.5) == pytest.approx(expected, rel=0.15)


def test_an_overshooting_kernel_lifts_the_edge_on_both_sides():
    _, plain = edge_spread(QUIET)
    _, sharp = edge_spread(replace(QUIET, overshoot=0.3))

    assert sharp.max() > plain.max() + 0.04
    assert sharp.min() < plain.min() - 0.04


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
    drawn = [Scanner.draw(np.random.default_rng(seed)) for seed in range(200)]

    assert all(2 <= s.noise_hu <= 10 for s in drawn)
    assert all(0.5 <= s.psf_mm <= 1.2 for s in drawn)
    assert all(abs(s.offset_hu) <= 6 and 0.97 <= s.gain <= 1.03 for s in drawn)
    assert max(s.noise_hu for s in drawn) > 3 * min(s.noise_hu for s in drawn)


def test_scanners_of_one_hospital_may_differ_by_some_hu_on_the_same_brain():
    offsets = [Scanner.draw(np.random.default_rng(seed), REALISTIC).offset_hu for seed in range(300)]
    low, high = np.percentile(offsets, [5, 95])

    assert 5 < high - low < 10
    assert max(abs(offset) for offset in offsets) <= 5


def test_realistic_scanners_lie_within_those_of_training():
    wide = [Scanner.draw(np.random.default_rng(seed)) for seed in range(300)]
    real = [Scanner.draw(np.random.default_rng(seed), REALISTIC) for seed in range(300)]

    for name in (
        "noise_hu",
        "psf_mm",
        "blotch",
        "overshoot",
        "hardening",
        "glare_hu",
        "windmill_hu",
        "offset_hu",
        "gain",
    ):
        inner, outer = ([getattr(scanner, name) for scanner in scanners] for scanners in (real, wide))
        slack = 0.02 * np.ptp(outer)  # the ends of a range are seldom drawn
        assert min(outer) - slack <= min(inner)
        assert max(outer) + slack >= max(inner)


def test_realistic_scanners_leave_the_rim_of_the_brain_little_brighter_than_its_middle():
    # HU that unit strength adds 3-8 mm from the inner table against the middle of the brain, in the worst of ten heads.
    hardening, cupping, glare = 19.0, 0.45, 0.22

    def rim(population):
        scanners = [Scanner.draw(np.random.default_rng(seed), population) for seed in range(300)]
        return [hardening * s.hardening + cupping * s.cupping_hu + glare * s.glare_hu for s in scanners]

    assert np.percentile(rim(REALISTIC), 95) < 4
    assert np.percentile(rim(TRAINING), 95) > 10


def test_only_the_held_out_kernels_smooth_between_edges():
    familiar = [
        Scanner.draw(np.random.default_rng(seed), population)
        for seed in range(50)
        for population in (TRAINING, REALISTIC)
    ]
    held_out = [Scanner.draw(np.random.default_rng(seed), POPULATIONS["new kernels"]) for seed in range(50)]

    assert all(scanner.denoising == 0 for scanner in familiar)
    assert all(scanner.denoising > 0.5 for scanner in held_out)


def test_smoothing_between_edges_takes_noise_and_keeps_edges():
    noisy = replace(QUIET, noise_hu=5.0)
    smooth = replace(noisy, denoising=0.9)

    assert middle(scan_of(water(), smooth)).std() < 0.6 * middle(scan_of(water(), noisy)).std()
    sharp = [np.abs(np.diff(scan_of(water(), s)[:, 128].astype(float).mean(0))).max() for s in (noisy, smooth)]
    assert sharp[1] > 0.9 * sharp[0]


def petrous() -> np.ndarray:
    """Return a head [3, 256, 256] with two dense bones left and right of its middle in the lowest two slices."""
    y, x = np.mgrid[:256, :256] - 127.5
    head = np.where(np.hypot(y, x) < 100, 30.0, -1000.0)
    bones = np.repeat(head[None], 3, axis=0)
    for side in (-55, 55):
        bones[:2, np.hypot(2 * y, x - side) < 25] = 1800
    return bones.astype(np.float32)


BETWEEN = np.s_[0, 122:134, 118:138]
ABOVE = np.s_[0, 60:72, 118:138]


def test_hardening_darkens_what_lies_between_dense_bones():
    plain, hard = (scan_of(petrous(), replace(QUIET, hardening=h)).astype(float) for h in (0.0, 1.0))

    assert (hard - plain)[BETWEEN].mean() < (hard - plain)[ABOVE].mean() - 5


def vault() -> np.ndarray:
    """Return a head [8, 256, 256] whose ring of bone narrows and thickens from slice to slice, as at the vertex."""
    y, x = np.mgrid[:256, :256] - 127.5
    away = np.hypot(y, x)
    return np.stack(
        [
            np.where(away < 100 - 8 * z, 30.0, np.where(away < 110 - 4 * z, 1400.0, -1000.0)).astype(np.float32)
            for z in range(8)
        ]
    )


def test_hardening_lifts_slices_of_much_bone_by_little():
    plain, hard = (scan_of(vault(), replace(QUIET, hardening=h)).astype(float) for h in (0.0, 1.0))
    lift = np.median((hard - plain)[:, 118:138, 118:138], axis=(1, 2))

    assert 5 < lift[-1] - lift[0] < 20  # at full strength, from 4 to 17 mm of bone


def test_starved_rays_between_dense_bones_leave_streaks_along_them():
    quiet = replace(QUIET, noise_hu=0.01)
    image = scan_of(petrous(), replace(quiet, noise_hu=2.0, streaks=3.0)).astype(float)
    image -= scan_of(petrous(), replace(quiet, noise_hu=2.0)).astype(float)

    assert image[BETWEEN].std() > 2 * image[ABOVE].std()
    rows, columns = (np.abs(np.diff(image[BETWEEN], axis=axis)).mean() for axis in (0, 1))
    assert rows > 1.5 * columns


def test_windmills_surround_bone_that_ends_between_slices():
    change = scan_of(petrous(), replace(QUIET, windmill_hu=10.0)).astype(float) - scan_of(petrous(), QUIET)

    assert np.ptp(change[1, 90:166, 60:196]) > 5
    assert np.abs(change[:, 40:60, 120:136]).max() < np.abs(change[1, 90:166, 60:196]).max()


def test_cupping_darkens_the_middle_and_glare_brightens_what_lies_beside_bone():
    cupped = scan_of(water(), replace(QUIET, cupping_hu=6.0)).astype(float)
    glaring = scan_of(petrous(), replace(QUIET, glare_hu=20.0)).astype(float) - scan_of(petrous(), QUIET)

    assert cupped[0, 128, 40] > cupped[0, 128, 128] + 3
    assert glaring[0, 128, 128 - 27] > glaring[0, 70, 128] + 1


def test_metal_makes_a_star_that_fades_with_the_distance():
    head = petrous()
    head[:, 100:106, 120:126] = 6000
    star = scan_of(head, replace(QUIET, metal_hu=100.0)).astype(float) - scan_of(head, QUIET)
    y, x = np.mgrid[:256, :256] - np.array([102.5, 122.5])[:, None, None]
    away = np.hypot(y, x)

    assert star[0][(away > 8) & (away < 20)].std() > 10
    assert star[0][(away > 70) & (away < 90)].std() < 0.4 * star[0][(away > 8) & (away < 20)].std()


def test_a_head_that_moves_is_seen_twice_in_some_slices_only():
    still = np.repeat(petrous()[:1], 12, axis=0)
    change = np.abs(scan_of(still, replace(QUIET, motion_mm=3.0)).astype(int) - scan_of(still, QUIET)).mean((1, 2))

    assert 0 < (change > 1).sum() < 12


def test_a_head_that_moves_leaves_streaks_along_its_skull_and_hardly_any_through_its_middle():
    y, x = np.mgrid[:256, :256] - 127.5
    out = np.hypot(y, x)
    # Even all round, so that a head in two positions differs at its skull alone.
    head = np.where(out < 85, 30.0, np.where(out < 97, 1000.0, -1000.0)).astype(np.float32)
    still = np.repeat(head[None], 24, axis=0)
    change = scan_of(still, replace(QUIET, motion_mm=3.0)).astype(float) - scan_of(still, QUIET)
    moved = np.abs(change).mean((1, 2)) > 1
    inner, rim = change[moved][:, out < 50], change[moved][:, (out > 60) & (out < 78)]

    assert moved.sum() > 3
    assert inner.std() < 1.0
    assert rim.std() > 1.5 * inner.std()


@pytest.mark.parametrize("turn", [0.0, 0.5])
def test_a_slice_without_dense_bones_at_its_base_has_no_streaks(turn):
    y, x = np.mgrid[:256, :256] - 127.5
    y, x = y * np.cos(turn) - x * np.sin(turn), y * np.sin(turn) + x * np.cos(turn)
    # 163 x 104 mm, thickest in front and behind, where rays along it cross the most bone.
    brain = np.hypot(y / 100, x / 73.6) < 1
    head = np.where(brain, 35.0, np.where(np.hypot(y / 125, x / 80) < 1, 1300.0, -1000.0)).astype(np.float32)
    scans = [
        acquire(
            head[None], (0.65, 0.65), np.array([5.0]), replace(QUIET, noise_hu=4.0, streaks=s), stream(0, "streaks")
        )
        for s in (0.0, 2.0)
    ]

    np.testing.assert_array_equal(*scans)


def test_nothing_lies_outside_a_round_field_and_steps_are_kept():
    scan = scan_of(np.full((1, 128, 128), 41.0, np.float32), replace(QUIET, round_field=True, step_hu=4, noise_hu=3.0))

    assert scan[0, 2, 2] == HU_MIN
    assert (scan[0, 50:70, 50:70] % 4 == 0).all()


def test_a_wide_slice_profile_mixes_neighbouring_slices():
    stack = np.stack([np.full((64, 64), value, np.float32) for value in (0, 100, 0)])

    np.testing.assert_array_equal(scan_of(stack, replace(QUIET, slice_blur=0.1))[:, 32, 32], [10, 80, 10])


def test_bone_of_the_next_slice_brightens_no_brain_of_a_clinical_scan_to_that_of_blood():
    blurs = [Scanner.draw(np.random.default_rng(seed), REALISTIC).slice_blur for seed in range(300)]

    assert max(blurs) * 1000 <= 20  # HU, of a bone of 1000
    assert np.mean(np.asarray(blurs) > 0) < 0.4
