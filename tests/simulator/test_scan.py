# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A whole simulated scan: seeds, matched pairs, labels and volumes, geometry, and what training makes of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from appliance.reading.contract import BRIGHTEST_CLOT_HU, HemorrhageType
from simulator.bleeding import coarser, simulate_head
from simulator.diagnosis import Diagnosis
from simulator.geometry import ScanGeometry, draw_geometry
from simulator.kept_blood import KeptBlood
from simulator.labels import SeenBleed, label_voxels, shown_hu, volumes_ml
from simulator.noise_free import NoiseFreeScan, realise, scan_view, seeds_own_scan, simulate_noise_free
from simulator.population import POPULATIONS, REALISTIC, TRAINING
from simulator.scan import SimulatedScan, simulate_scan
from simulator.scanner import Kernel, Scanner
from simulator.view import View

SEED = 17
GEOMETRY = ScanGeometry(
    rows=192,
    columns=192,
    pixel_spacing_mm=(1.2, 1.2),
    positions_mm=tuple(float(p) for p in np.arange(-50, 85, 9)),
    thickness_mm=(5.0,) * 15,
    centre_mm=(0.0, 15.0, 0.0),
)


@pytest.fixture(scope="module")
def scans() -> dict[str, SimulatedScan]:
    return {
        diagnosis: simulate_scan(SEED, diagnosis, volume_ml=volume, geometry=GEOMETRY, population=ALONE)
        for diagnosis, volume in VOLUMES.items()
    }


ALONE = replace(TRAINING, companions=False)
VOLUMES: dict[str, float | None] = {"none": None, "iph": 12.0, "edh_sdh": 30.0, "sah": 15.0}


def test_the_same_seed_gives_the_same_scan(scans):
    again = simulate_scan(SEED, "sah", volume_ml=15.0, geometry=GEOMETRY, population=ALONE)

    np.testing.assert_array_equal(again.hu, scans["sah"].hu)
    np.testing.assert_array_equal(again.labels, scans["sah"].labels)


def test_a_slice_along_the_vault_shows_no_steps_of_the_grid():
    # Two slices of half the thickness have twice the samples: their mean is the slice.
    lying = {"rows": 128, "columns": 128, "pixel_spacing_mm": (1.0, 1.0), "centre_mm": (0.0, 20.0, 0.0)}
    whole = ScanGeometry(positions_mm=(80.0,), thickness_mm=(5.0,), tilt_deg=9.0, **lying)
    fine = tuple(80.0 + 0.25 * (i - 9.5) for i in range(20))
    parts = ScanGeometry(positions_mm=fine, thickness_mm=(0.25,) * 20, tilt_deg=9.0, **lying)
    head = simulate_head(SEED, "none", geometry=whole, population=REALISTIC)

    off = head.noise_free(whole)[0] - head.noise_free(parts).mean(0)

    assert (head.noise_free(whole) > 500).any()
    assert np.percentile(np.abs(off), 99) < 25


@pytest.mark.parametrize("diagnosis", ["iph", "edh_sdh", "sah"])
def test_no_labelled_voxel_is_brighter_before_noise_than_a_clot_can_be(scans, diagnosis):
    scan = scans[diagnosis]
    shown = np.stack([shown_hu(plane, GEOMETRY.pixel_spacing_mm) for plane in scan.head.noise_free(GEOMETRY)])

    assert shown[scan.labels > 0].max() < BRIGHTEST_CLOT_HU + 2  # blur of a bleed's box and of the slice


@pytest.mark.parametrize("diagnosis", ["iph", "edh_sdh", "sah"])
def test_labelled_voxels_have_the_volume_asked_for(scans, diagnosis):
    scan = scans[diagnosis]
    counted = (scan.labels == HemorrhageType(diagnosis).label).sum(axis=(1, 2)) @ GEOMETRY.voxel_ml

    assert scan.volumes_ml == {HemorrhageType(diagnosis): pytest.approx(counted)}
    assert counted == pytest.approx(VOLUMES[diagnosis], rel=0.1)


def test_a_scan_without_a_finding_has_no_label(scans):
    assert scans["none"].labels.max() == 0
    assert scans["none"].volumes_ml == {}


@pytest.mark.parametrize("diagnosis", ["iph", "edh_sdh", "sah"])
def test_a_matched_pair_differs_inside_the_skull_only(scans, diagnosis):
    without, with_blood = scans["none"].head, scans[diagnosis].head
    outside = without.anatomy.atlas.cavity_distance > 0.5

    assert scans[diagnosis].scanner == scans["none"].scanner
    assert scans[diagnosis].geometry == scans["none"].geometry
    np.testing.assert_array_equal(with_blood.hu[outside], without.hu[outside])
    assert (with_blood.hu[~outside] != without.hu[~outside]).any()


def test_subarachnoid_blood_changes_nothing_but_where_it_lies(scans):
    without, with_blood = (scans[f].head.noise_free(GEOMETRY) for f in ("none", "sah"))
    (seen,) = scans["sah"].head.bleeds(GEOMETRY)

    assert np.abs(with_blood - without)[seen.fraction == 0].max() < 0.01


@pytest.mark.parametrize("diagnosis", ["iph", "edh_sdh", "sah"])
def test_labels_lie_where_blood_raises_the_scan(scans, diagnosis):
    without, with_blood = (scans[f].head.noise_free(GEOMETRY) for f in ("none", diagnosis))
    labels = scans[diagnosis].labels > 0
    soft = labels & (without > -50) & (without < 120)

    assert np.median((with_blood - without)[soft]) > 10
    assert 40 < np.median(with_blood[soft]) < 85


def test_the_scan_is_nose_up_and_foot_first(scans):
    hu = scans["none"].hu
    body = hu > -300
    rows = np.arange(hu.shape[1])[None, :, None]
    within = np.logical_and(np.maximum.accumulate(body, 1), np.maximum.accumulate(body[:, ::-1], 1)[:, ::-1])
    sinus = (within & (hu < -500))[:5]

    assert body[-1].sum() < 0.6 * body[0].sum()
    assert (sinus * rows).sum() / sinus.sum() < (body[:5] * rows[:5]).sum() / body[:5].sum() - 10


def test_the_right_of_the_patient_is_on_the_left_of_the_image():
    shifted = replace(GEOMETRY, centre_mm=(30.0, 15.0, 0.0), positions_mm=(30.0,), thickness_mm=(5.0,))
    head = simulate_head(SEED, "none", geometry=GEOMETRY)
    columns = np.flatnonzero((head.noise_free(shifted)[0] > 200).any(0))

    # A field of view moved to the patient's left shows the head further to the image's left.
    assert columns.mean() < 96 - 15


def test_planes_of_a_tilted_gantry_are_sheared_along_the_table():
    tilted = replace(GEOMETRY, tilt_deg=15.0)
    steps = np.diff(tilted.origins_mm, axis=0)

    np.testing.assert_allclose(steps[:, :2], 0, atol=1e-9)
    np.testing.assert_allclose(steps @ tilted.axes[2], np.diff(GEOMETRY.positions_mm))
    assert tilted.axes[2][2] == pytest.approx(np.cos(np.deg2rad(15)))
    assert tilted.axes[1][2] < 0  # to posterior is towards the feet: the front edge is up


def test_spans_are_half_way_to_the_neighbours():
    uneven = replace(GEOMETRY, positions_mm=(0.0, 2.5, 5.0, 10.0), thickness_mm=(2.5, 2.5, 5.0, 5.0))

    np.testing.assert_allclose(uneven.spans_mm, [2.5, 2.5, 3.75, 5.0])


def test_positions_that_do_not_rise_are_refused():
    with pytest.raises(ValueError, match="rise"):
        replace(GEOMETRY, positions_mm=(0.0, 0.0), thickness_mm=(5.0, 5.0))


@pytest.mark.parametrize(
    ("population", "pixels_mm", "most_tilt", "farthest_mm"),
    [(TRAINING, (0.35, 0.6), 24, 35), (REALISTIC, (0.4, 0.51), 18, 20)],
)
def test_planned_geometries_lie_within_their_populations_range(population, pixels_mm, most_tilt, farthest_mm):
    plans = [draw_geometry(seed, population) for seed in range(200)]
    pixels = [plan.pixel_spacing_mm[0] for plan in plans]
    tilts = [plan.tilt_deg for plan in plans]
    cut = [plan for plan in plans if plan.positions_mm[0] > -45 or plan.positions_mm[-1] < 80]

    assert all(plan.shape[1:] == (512, 512) and 24 <= plan.shape[0] <= 56 for plan in plans)
    assert pixels_mm[0] <= min(pixels) < max(pixels) <= pixels_mm[1]
    assert all(1.79 <= min(plan.thickness_mm) <= max(plan.thickness_mm) <= 6.25 for plan in plans)
    assert max(abs(tilt) for tilt in tilts) <= most_tilt
    assert 0.4 < np.mean([tilt == 0 for tilt in tilts]) < 0.75
    assert max(abs(plan.centre_mm[0]) for plan in plans) < farthest_mm
    assert 0 < len(cut) < 0.35 * len(plans)


def test_thinner_planes_stand_for_the_same_range():
    thin = GEOMETRY.thinner(4)

    assert thin.shape[0] == 4 * GEOMETRY.shape[0]
    assert thin.spans_mm.sum() == pytest.approx(GEOMETRY.spans_mm.sum())
    np.testing.assert_allclose(thin.thickness_mm, thin.spans_mm)
    np.testing.assert_allclose(np.mean(thin.positions_mm[:4]), GEOMETRY.positions_mm[0])


def test_a_coarser_geometry_sees_the_same_field_of_view():
    assert (
        coarser(GEOMETRY).rows * coarser(GEOMETRY).pixel_spacing_mm[0] == GEOMETRY.rows * GEOMETRY.pixel_spacing_mm[0]
    )


def test_a_bone_kernel_is_sharper_and_noisier_than_the_soft_one(scans):
    one = replace(GEOMETRY, positions_mm=(30.0,), thickness_mm=(5.0,))
    head, scanner = scans["none"].head, scans["none"].scanner
    soft, bone = (head.render(one, kernel, scanner=scanner).astype(float) for kernel in (Kernel.SOFT, Kernel.BONE))
    brain = np.s_[0, 90:110, 90:110]

    assert bone[brain].std() > 2 * soft[brain].std()
    assert bone.max() > soft.max()


def test_another_series_of_the_head_has_another_noise(scans):
    one = replace(GEOMETRY, positions_mm=(30.0,), thickness_mm=(5.0,))
    head, scanner = scans["none"].head, scans["none"].scanner
    first, second = (head.render(one, scanner=scanner, noise=number).astype(float) for number in (1, 2))

    assert np.corrcoef((first - second)[0, 90:110, 90:110].ravel(), first[0, 90:110, 90:110].ravel())[0, 1] > 0.2
    assert (first != second).mean() > 0.2


def test_a_noise_free_scan_survives_the_disk_and_is_the_seeds_own_scan(tmp_path, scans):
    scan = simulate_noise_free(SEED, Diagnosis.IPH, volume_ml=12.0, geometry=GEOMETRY, population=ALONE)
    scan.save(tmp_path / "one")
    back = NoiseFreeScan.load(tmp_path / "one")
    hu, labels = seeds_own_scan(back)

    assert back.hu.size < scan.hu.size  # only the box that holds the head is kept
    np.testing.assert_array_equal(labels, scans["iph"].labels)
    np.testing.assert_array_equal(hu, scans["iph"].hu)
    assert (back.seed, back.diagnosis, back.pixel_spacing_mm) == (SEED, Diagnosis.IPH, (1.2, 1.2))


def test_a_part_of_a_head_that_is_kept_bleeds_as_the_whole_head_does(scans):
    first = int(np.flatnonzero(scans["iph"].labels.any(axis=(1, 2)))[0])
    part = GEOMETRY.part(first, 2)
    scan = simulate_noise_free(SEED, Diagnosis.IPH, volume_ml=12.0, geometry=GEOMETRY, population=ALONE, kept=part)

    assert 0 < scan.labels.any(axis=(1, 2)).sum() < scans["iph"].labels.any(axis=(1, 2)).sum()
    np.testing.assert_array_equal(scan.labels, scans["iph"].labels[first : first + 2])


def test_realisations_move_labels_with_the_blood():
    hu = np.full((3, 96, 96), 30, np.int16)
    labels = np.zeros((3, 96, 96), np.uint8)
    hu[:, 30:50, 20:44] = 70
    labels[:, 30:50, 20:44] = 1
    scan = NoiseFreeScan(0, Diagnosis.IPH, hu, labels, (0.5, 0.5), np.full(3, 5.0))
    quiet = Scanner(noise_hu=0.5, overshoot=0.0)
    for seed in range(6):
        seen, truth = realise(scan, np.random.default_rng(seed), scanner=quiet)
        assert truth.max() == 1
        np.testing.assert_array_equal(truth[0], truth[2])
        assert np.mean((seen > 50) == (truth > 0)) > 0.98


@pytest.mark.parametrize("population", ["training", "realistic"])
def test_a_realisation_is_by_a_scanner_of_the_scans_own_population(population, monkeypatch):
    hu = np.full((1, 64, 64), 30, np.int16)
    labels = np.zeros(hu.shape, np.uint8)
    scan = NoiseFreeScan(0, Diagnosis.NONE, hu, labels, (0.5, 0.5), np.full(1, 5.0), population=population)
    drawn_from = []
    drawn = Scanner.draw
    monkeypatch.setattr(Scanner, "draw", lambda rng, *among: drawn_from.append(among) or drawn(rng, *among))
    realise(scan, np.random.default_rng(0))

    assert drawn_from == [(POPULATIONS[population],)]


def test_two_realisations_differ_and_one_stream_repeats():
    scan = NoiseFreeScan(
        0,
        Diagnosis.NONE,
        np.full((2, 64, 64), 30, np.int16),
        np.zeros((2, 64, 64), np.uint8),
        (0.5, 0.5),
        np.full(2, 5.0),
    )
    first, again, other = (realise(scan, np.random.default_rng(seed))[0] for seed in (1, 1, 2))

    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_merged_slices_are_the_means_of_their_neighbours_and_are_labelled_by_the_means_of_their_blood():
    hu = np.stack([np.full((64, 64), value, np.int16) for value in (10, 20, 30, 40, 50)])
    half, bright, dim, none = np.zeros((4, 5, 64, 64), np.float32)
    half[2:4, 20:30] = 1  # as dark as brain: fills a third of the first slice, two thirds of the second
    bright[2, 40:50] = 0.3  # a third of it raises a slice by 10 HU
    dim[2, 55:60] = 0.2  # and of this by 6
    bleeds = [
        SeenBleed(HemorrhageType.EDH_SDH, half, none, 30 + none),
        SeenBleed(HemorrhageType.SAH, bright, 100 * bright, 30 + none),
        SeenBleed(HemorrhageType.IPH, dim, 90 * dim, 30 + none),
    ]
    labels = label_voxels(bleeds, hu.shape, (0.5, 0.5))
    blood = KeptBlood.of(bleeds, hu.shape)
    scan = NoiseFreeScan(0, Diagnosis.SAH, hu, labels, (0.5, 0.5), np.full(5, 1.25), gapless=True, blood=blood)
    quiet = Scanner(noise_hu=0.0, overshoot=0.0)
    slices = scan.slices(3, first=0, step=2)
    seen, truth = scan_view(scan, View.whole((64, 64)), (64, 64), slices, quiet, np.random.default_rng(0))

    assert slices == [range(0, 3), range(2, 5)]
    np.testing.assert_array_equal(seen[:, 32, 32], [20, 40])
    np.testing.assert_array_equal(labels[2, [25, 45, 57], 0], [2, 3, 1])
    np.testing.assert_array_equal(truth[:, [0, 25, 45, 57], 0], [[0, 0, 3, 0], [0, 2, 3, 0]])


def test_blood_is_labelled_in_no_merged_slice_that_shows_bone_there_though_the_plane_with_the_blood_shows_none():
    hu = np.full((2, 32, 32), 60, np.int16)
    hu[1, :, 16:] = 900  # the vault slopes: bone lies over the blood in the next plane
    fraction = np.zeros(hu.shape, np.float32)
    fraction[0], fraction[1, :, :16] = 1, 1
    bleed = SeenBleed(HemorrhageType.EDH_SDH, fraction, 30 * fraction, np.asarray(hu, np.float32))
    labels = label_voxels([bleed], hu.shape, (0.5, 0.5))
    blood = KeptBlood.of([bleed], hu.shape)
    scan = NoiseFreeScan(0, Diagnosis.EDH_SDH, hu, labels, (0.5, 0.5), np.full(2, 2.5), gapless=True, blood=blood)
    merged = scan.merged_labels(scan.slices(2))[0]
    boxed = replace(scan, hu=hu[:, 4:, 6:], labels=labels[:, 4:, 6:], corner=(4, 6), matrix=(32, 32))

    np.testing.assert_array_equal(labels[0], 2)
    np.testing.assert_array_equal(merged[:, :13], 2)
    np.testing.assert_array_equal(merged[:, 15:], 0)
    np.testing.assert_array_equal(boxed.merged_labels(scan.slices(2))[0, 10:, 12:], merged[10:, 12:])


def test_planes_of_a_bleeding_scan_that_was_kept_without_its_blood_are_not_merged():
    hu = np.zeros((4, 64, 64), np.int16)
    scan = NoiseFreeScan(7, Diagnosis.SAH, hu, hu.astype(np.uint8), (0.5, 0.5), np.full(4, 1.25), gapless=True)

    assert not scan.mergeable
    assert not replace(scan, diagnosis=Diagnosis.NONE).mergeable
    with pytest.raises(ValueError, match="sah-7"):
        scan_view(scan, View.whole((64, 64)), (64, 64), scan.slices(2), Scanner(), np.random.default_rng(0))


@pytest.mark.parametrize(("diagnosis", "parts"), [("iph", 2), ("edh_sdh", 4), ("sah", 4)])
def test_merged_slices_have_the_labels_of_thick_slices_of_the_same_head(scans, diagnosis, parts, tmp_path):
    head, fullest = scans[diagnosis].head, int((scans[diagnosis].labels > 0).sum(axis=(1, 2)).argmax())
    middle = GEOMETRY.positions_mm[fullest]
    thick = replace(GEOMETRY, positions_mm=(middle - 5, middle, middle + 5), thickness_mm=(5.0,) * 3)
    thin = thick.thinner(parts)
    bleeds = head.bleeds(thin)
    kept = NoiseFreeScan(
        SEED,
        Diagnosis(diagnosis),
        np.rint(head.noise_free(thin)).astype(np.int16),
        label_voxels(bleeds, thin.shape, thin.pixel_spacing_mm),
        thin.pixel_spacing_mm,
        np.asarray(thin.thickness_mm),
        gapless=True,
        blood=KeptBlood.of(bleeds, thin.shape),
    )
    kept.save(tmp_path / "one")
    back = NoiseFreeScan.load(tmp_path / "one")
    merged, direct = back.merged_labels(back.slices(parts)), head.labels(thick)

    assert (direct > 0).sum() > 200
    # Where they differ is within a sub-slice: thin planes are sampled at other heights than thick ones.
    assert 2 * ((merged == direct) & (direct > 0)).sum() / ((merged > 0).sum() + (direct > 0).sum()) > 0.95


def test_noise_of_merged_slices_is_that_of_their_thickness():
    scan = NoiseFreeScan(
        0,
        Diagnosis.NONE,
        np.zeros((8, 128, 128), np.int16),
        np.zeros((8, 128, 128), np.uint8),
        (0.5, 0.5),
        np.full(8, 1.25),
    )
    thin, thick = (
        scan_view(scan, View.whole((128, 128)), (128, 128), scan.slices(n), Scanner(), np.random.default_rng(0))[
            0
        ].std()
        for n in (1, 4)
    )

    assert thin / thick == pytest.approx(2.0, rel=0.1)


def test_a_view_of_a_scan_is_seen_as_the_whole_scan_is():
    y, x = np.mgrid[:192, :192] - 95.5
    plane = np.where(np.hypot(y, x) < 80, 30, -1000) + np.where(np.abs(np.hypot(y, x) - 76) < 4, 900, 0)
    hu = np.repeat(plane[None], 3, axis=0).astype(np.int16)
    scan = NoiseFreeScan(0, Diagnosis.NONE, hu, np.zeros(hu.shape, np.uint8), (1.0, 1.0), np.full(3, 5.0))
    scanner = Scanner(noise_hu=0.0, hardening=1.0)
    whole, _ = realise(scan, np.random.default_rng(0), scanner=scanner, move=False)
    part, _ = scan_view(scan, View((75.5, 85.5)), (96, 96), scan.slices()[1:], scanner, np.random.default_rng(0))

    np.testing.assert_allclose(part, whole[1:, 28:124, 38:134], atol=4)  # shading is known by coarse cells


def test_an_unknown_finding_is_refused():
    with pytest.raises(ValueError, match="stroke"):
        simulate_scan(0, "stroke", geometry=GEOMETRY)


def test_volumes_count_each_slice_with_its_own_span():
    labels = np.zeros((3, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[2, 0, 0] = 2
    geometry = replace(
        GEOMETRY,
        rows=4,
        columns=4,
        pixel_spacing_mm=(1.0, 1.0),
        positions_mm=(0.0, 2.0, 8.0),
        thickness_mm=(2.0, 2.0, 5.0),
    )

    assert volumes_ml(labels, geometry) == {HemorrhageType.EDH_SDH: pytest.approx((2.0 + 6.0) / 1000)}
