# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Sutures, sinuses, eyes, fillings and the build of a head: what is drawn is what is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from simulator.anatomy import Anatomy
from simulator.build import Build
from simulator.dura import membranes, sinuses, soften
from simulator.fields import stream
from simulator.fillings import METAL_HU, Fillings, patient_point
from simulator.geometry import ScanGeometry
from simulator.mimics import Mimics
from simulator.population import POPULATIONS
from simulator.skull import sinus_air
from simulator.sutures import Sutures
from simulator.warp import at_warp_nodes, draw_warp


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.draw(5)


def places(*points: tuple[float, float, float]) -> tuple[np.ndarray, ...]:
    """MNI z, y, x of points as arrays."""
    return tuple(np.array(column, np.float32) for column in zip(*points, strict=True))


def test_sutures_run_through_bregma_and_lambda():
    sutures = Sutures.draw(np.random.default_rng(3), 40)
    bregma = (78.0, sutures.bregma_y, sutures.sway_mm)
    lambda_ = (sutures.lambda_z, sutures.lambda_y, 0.0)
    between_plates = (60.0, (sutures.bregma_y + sutures.lambda_y) / 2, 55.0)

    np.testing.assert_allclose(sutures.distance(*places(bregma, lambda_)), 0, atol=3)
    assert sutures.distance(*places(between_plates))[0] > 15


def test_a_gap_is_as_wide_as_the_suture_and_closes_with_age():
    young, old = (Sutures.draw(np.random.default_rng(3), age) for age in (20, 90))
    y = np.arange(-20, 50, 0.25, dtype=np.float32)
    line = (np.full_like(y, 60), y, np.full_like(y, 30))
    straight = np.zeros_like(y)

    assert young.gap(*line, straight).sum() * 0.25 == pytest.approx(young.open * (young.width_mm), rel=0.35)
    assert old.gap(*line, straight).max() < young.gap(*line, straight).max()


def test_the_distance_to_a_suture_is_known_all_over_the_cavity(anatomy):
    distance = anatomy.suture_distance

    assert distance.shape == anatomy.cavity.shape
    assert distance.min() < 1
    assert distance.max() > 40


def test_a_head_without_frontal_sinus_has_bone_there(anatomy):
    exterior = anatomy.exterior
    z, y, _ = exterior.atlas.mni()
    forehead = np.broadcast_to((z > -10) & (y > 55), exterior.atlas.shape)
    air = {}
    for size in (0.0, 1.0):
        skull = replace(exterior.skull, frontal_sinus=(size, size))
        air[size] = sinus_air(exterior.atlas, exterior.outer_distance, skull, 5)[0]

    assert air[0.0][forehead].sum() == 0
    assert air[1.0][forehead].sum() > 300


def test_a_lens_is_denser_than_the_vitreous_behind_it(anatomy):
    exterior = anatomy.exterior
    globe = exterior.hu[exterior.atlas.globe > 0.9]

    assert np.percentile(globe, 20) < 25
    assert (globe > 50).sum() > 20


def test_the_wider_transverse_sinus_is_on_its_side(anatomy):
    at = anatomy.landmarks
    right = np.broadcast_to((at.x > 8) & (at.z < 12), at.brain.shape)
    left = np.broadcast_to((at.x < -8) & (at.z < 12), at.brain.shape)
    wide_right, wide_left = sinuses(at, (1.3, 0.5)), sinuses(at, (0.5, 1.3))

    assert wide_right[right].sum() > 1.3 * wide_left[right].sum()
    assert wide_left[left].sum() > 1.3 * wide_right[left].sum()


def test_scalp_over_the_vault_is_as_thick_as_peoples():
    scalps = []
    for seed in range(40, 46):
        exterior = Anatomy.draw(seed).exterior
        upper = np.broadcast_to(exterior.atlas.mni()[0] > 58, exterior.atlas.shape)
        # A swelling is no part of the thickness; the median passes it over.
        scalps.append(np.median(-exterior.skin_distance[upper & (np.abs(exterior.outer_distance) < 0.5)]))

    assert min(scalps) > 2
    assert max(scalps) < 10
    assert np.median(scalps) < 7.5


@pytest.mark.parametrize("population", ["realistic", "new anatomy"])
def test_neck_and_face_are_as_the_atlas_has_them(population):
    exterior = Anatomy.draw(5, POPULATIONS[population]).exterior
    below_the_brow = np.broadcast_to(exterior.atlas.mni()[0] < -22, exterior.atlas.shape)
    plain = replace(exterior, build=replace(exterior.build, skull_mm=0.0, uneven_mm=0.0, scalp_mm=0.0), mimics=Mimics())

    assert (plain.skin_distance - plain.atlas.head_distance)[below_the_brow].max() <= 0


def test_the_thinnest_skull_has_no_hole_at_the_temple(anatomy):
    exterior = anatomy.exterior
    thin = replace(exterior, build=replace(exterior.build, skull_mm=-1.9, uneven_mm=0.9))
    z, y, x = exterior.atlas.mni()
    temple = (np.abs(x) > 50) & (z > -25) & (z < 0) & (y > -20) & (y < 30)
    near_inner_table = temple & (exterior.atlas.cavity_distance > 0) & (exterior.atlas.cavity_distance < 1)

    assert np.percentile(thin.hu[near_inner_table], 1) > 250


def test_the_falx_is_thinner_in_front_than_behind(anatomy):
    at = anatomy.landmarks
    falx, _ = membranes(at)
    sheet = falx * (at.z > 35) * (at.depth > 12)
    along = np.broadcast_to(at.y, sheet.shape)
    front, behind = (along > 20) & (along < 45), (along > -65) & (along < -40)
    thickness = [
        sheet[part].sum() / np.count_nonzero(sheet.max(2, keepdims=True)[part.any(2, keepdims=True)] > 0)
        for part in (front, behind)
    ]

    assert thickness[0] < 0.85 * thickness[1]


def test_falx_and_tentorium_are_no_thicker_than_dura(anatomy):
    at = anatomy.landmarks
    falx, tentorium = membranes(at)
    # The room that each takes, over the area of its middle.
    for sheet, distance in ((falx, at.falx), (tentorium, at.tentorium)):
        inside = (at.depth > 12) & (at.brain < 0.05)
        seen = np.broadcast_to(inside, sheet.shape) & (sheet > 0)
        middle = seen & (np.abs(distance) < 0.5)
        assert 0.4 < sheet[seen & (np.abs(distance) < 2)].sum() / np.count_nonzero(middle) < 1.1


def test_a_sinus_has_soft_edges_and_keeps_its_inside_and_its_wall_of_bone():
    sinus = np.zeros((20, 40, 40), np.float32)
    sinus[:, :10, 10:30] = 1  # along the bone, which is where the cavity ends
    speck = np.zeros_like(sinus)
    speck[10, 30, 20] = 1
    cavity = np.ones_like(sinus)
    cavity[:, :2] = 0
    soft = soften(np.maximum(sinus, speck), cavity)

    assert soft[10, 5, 20] > 0.99
    assert soft[10, 2, 20] > 0.95
    assert 0.2 < soft[10, 9, 20] < 0.9
    assert soft[10, 30, 20] < 0.2


def test_a_cavum_opens_the_septum(anatomy):
    ordinary = replace(anatomy, build=replace(anatomy.build, cavum_mm=0.0))
    open_septum = replace(anatomy, build=replace(anatomy.build, cavum_mm=3.0))
    lost = sum(ordinary.fractions[:2]) - sum(open_septum.fractions[:2])

    assert lost.min() > -1e-6
    assert lost.sum() > 100
    assert np.abs(anatomy.falx[lost > 0.3]).max() < 5


def test_age_widens_ventricles_and_sulci():
    builds = [Build.draw(np.random.default_rng(seed)) for seed in range(400)]
    young, old = ([b for b in builds if low <= b.age_years < high] for low, high in ((18, 45), (75, 96)))

    assert min(len(young), len(old)) > 30
    assert np.mean([b.ventricles for b in old]) > np.mean([b.ventricles for b in young]) + 2
    assert np.mean([b.atrophy for b in old]) > np.mean([b.atrophy for b in young]) + 0.5


def test_old_brains_hold_as_much_fluid_as_old_peoples():
    shares = []
    for seed in (7200601, 7200602, 7200604):
        head = Anatomy.draw(seed, POPULATIONS["realistic"])
        assert head.build.age_years > 65
        slices = ndimage.uniform_filter(head.intracranial, (5, 1, 1))
        deep = (head.atlas.cavity_distance[head.cavity_box] < -20) & (head.landmarks.z > -5)
        shares.append(np.mean(slices[deep] < 15))

    # Two real heads had 0.12 and 0.15.
    assert np.mean(shares) > 0.14
    assert max(shares) < 0.25


def test_no_brain_is_so_tight_that_its_sulci_are_filled_with_grey_matter():
    atrophy = [Build.draw(np.random.default_rng(seed)).atrophy for seed in range(300)]

    assert min(atrophy) >= -0.35
    assert np.mean([value < 0 for value in atrophy]) < 0.25


def test_one_side_of_a_head_is_much_like_the_other():
    directions = np.random.default_rng(0).normal(size=(200, 3))
    right = directions / np.linalg.norm(directions, axis=1, keepdims=True) * np.array([65, 80, 70])
    apart = []
    for seed in range(30, 34):
        head = Anatomy.draw(seed, POPULATIONS["realistic"])
        straight = replace(head.build, rotation_deg=(0, 0, 0), shift_mm=(0, 0, 0), scale=(1, 1, 1), mirrored=False)
        head = replace(head, build=straight)
        here, there = (head.atlas_index(points) for points in (right, right * np.array([-1, 1, 1])))
        there[:, 2] = 2 * head.atlas.origin_mni[2] - there[:, 2]
        apart.append(np.linalg.norm(here - there, axis=1).mean())

    assert 0.5 < np.mean(apart) < 3.5


def test_ventricles_are_bent_less_than_gyri(anatomy):
    atlas = anatomy.atlas
    still = replace(anatomy.build, ventricles=(0.0, 0.0), torque_mm=0.0)
    warp = draw_warp(stream(5, "gyri"), atlas, still)
    depth, off = (at_warp_nodes(np.asarray(d)) for d in (-atlas.cavity_distance, atlas.ventricle_distance))
    wall, gyri = (depth > 16) & (np.abs(off) < 5), (depth > 16) & (off > 20)

    assert warp[:, wall].std() < 0.4 * warp[:, gyri].std()


def test_the_temporal_muscle_ends_below_the_parietal_bone(anatomy):
    exterior = anatomy.exterior
    z, y, x = exterior.atlas.mni()
    outside = (exterior.outer_distance > 2.4) & (exterior.skin_distance < -2.4) & (np.abs(x) > 45) & (np.abs(y) < 30)

    muscle = outside & (exterior.hu > 20)

    assert np.mean(muscle & (z > 36) & (z < 52)) < 0.02 * np.mean(muscle & (z > -12) & (z < 4))


def test_heads_lie_further_off_in_training_than_in_life():
    wide, narrow = ([Build.draw(np.random.default_rng(s), wide=w) for s in range(200)] for w in (True, False))

    for spread in (lambda b: b.rotation_deg[1], lambda b: b.shift_mm[2]):
        assert np.std([spread(b) for b in wide]) > 1.6 * np.std([spread(b) for b in narrow])


def test_the_way_back_to_the_patient_is_exact(anatomy):
    wanted = np.array([-6.0, 50.0, 80.0])
    back = anatomy.atlas_index(patient_point(anatomy.atlas_index, wanted)[None])

    np.testing.assert_allclose(back, [wanted], atol=0.05)


def test_a_filling_is_metal_in_the_slices_that_reach_it(anatomy):
    fillings = Fillings((((-76.0, 50.0, 20.0), 3.0),))
    origin = anatomy.atlas.origin_mni
    z = patient_point(anatomy.atlas_index, np.array([-76 - origin[0], origin[1] - 50, origin[2] - 20]))[2]
    geometry = ScanGeometry(128, 128, (1.8, 1.8), (z, z + 30), (3.0, 3.0), (0.0, 15.0, 0.0))
    hu = np.zeros(geometry.shape, np.float32)
    fillings.lay(hu, geometry, anatomy.atlas_index, origin)

    assert hu[0].max() > 0.9 * METAL_HU
    assert 3 < (hu[0] > 3000).sum() < 30
    assert hu[1].max() == 0
