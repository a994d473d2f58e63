# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Simulated blood: its volume, its place by type, its density, and what gives way to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from appliance.reading.contract import TYPES, HemorrhageType
from simulator.anatomy import Anatomy
from simulator.blood import plan_bleed
from simulator.blood.clot import ISODENSE_HU, Age, Clot, downwards, settle
from simulator.blood.form import Bleed, Form
from simulator.blood.laying import lay_bleeds
from simulator.blood.pattern import draw_bleeds
from simulator.blood.push import relax
from simulator.blood.sizes import draw_volume_ml
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.mimics.contrast import ContrastInVessels
from simulator.mimics.sinuses import ThickBlood
from simulator.population import BleedShapes, BleedSizes
from simulator.tissue import Tissue
from simulator.warp import at_warp_nodes

SEED = 9
FORMS = {HemorrhageType.IPH: Form.LOBAR, HemorrhageType.EDH_SDH: Form.CONVEXITY, HemorrhageType.SAH: Form.SULCAL}


def plan_of(anatomy, form, volume_ml, seed=SEED, side=1.0):
    return plan_bleed(anatomy, Bleed(form, volume_ml, side), stream(seed, "blood"))


@pytest.fixture(scope="module")
def anatomy() -> Anatomy:
    return Anatomy.draw(SEED)


@pytest.fixture(scope="module")
def growths(anatomy):
    return {kind: plan_of(anatomy, FORMS[kind], 20.0).grow(20.0) for kind in TYPES}


@pytest.mark.parametrize("kind", TYPES)
def test_a_bleed_grows_to_the_volume_asked_for(anatomy, growths, kind):
    assert growths[kind].fraction.sum() * anatomy.voxel_ml == pytest.approx(20, rel=0.03)


@pytest.mark.parametrize("kind", TYPES)
def test_a_bleed_grows_outwards_from_one_place(anatomy, growths, kind):
    small = plan_of(anatomy, FORMS[kind], 20.0).grow(4.0)
    large = growths[kind]
    place = tuple(slice(s - b, s - b + n) for s, b, n in zip(small.low, large.low, small.fraction.shape, strict=True))
    small_there = np.zeros(large.fraction.shape)
    inside = tuple(slice(max(0, p.start), max(0, p.stop)) for p in place)
    cut = tuple(slice(max(0, -p.start), max(0, -p.start) + small_there[inside].shape[a]) for a, p in enumerate(place))
    small_there[inside] = small.fraction[cut]

    assert small_there.sum() > 0.9 * small.fraction.sum()
    assert (large.fraction >= small_there - 0.05).mean() > 0.999


@pytest.mark.parametrize("kind", TYPES)
def test_acute_blood_is_denser_than_brain_and_softer_than_bone(growths, kind):
    growth = growths[kind]
    hu = growth.density[growth.fraction > 0.5]

    least = 22 if kind is HemorrhageType.SAH else 38  # CSF thins what lies in it

    assert least <= np.median(hu) <= 82
    assert np.percentile(hu, 99) < 100


@pytest.mark.parametrize("kind", TYPES)
def test_blood_lies_inside_the_skull(anatomy, growths, kind):
    growth = growths[kind]

    assert growth.fraction[anatomy.atlas.cavity_distance[growth.box] > 1].max(initial=0) == 0


def test_parenchymal_blood_lies_deep_to_the_inner_table(anatomy, growths):
    growth = growths[HemorrhageType.IPH]
    depth = -anatomy.atlas.cavity_distance[growth.box]

    assert (depth[growth.fraction > 0.5] > 1).mean() > 0.98


def test_extraaxial_blood_lies_on_the_skull_falx_or_tentorium(anatomy):
    for form in (Form.EPIDURAL, Form.CONVEXITY, Form.FALX, Form.TENTORIUM):
        growth = plan_of(anatomy, form, 6.0).grow(6.0)
        walls = [
            np.abs(wall)
            for wall in (
                anatomy.atlas.cavity_distance[growth.box],
                anatomy.in_grid([anatomy.falx], growth.box)[0],
                anatomy.atlas.tentorium_distance[growth.box],
            )
        ]
        blood = growth.fraction > 0.5
        touching = [float((blood & (wall < 1.5)).sum()) / blood.sum() for wall in walls]

        assert max(touching) > 0.1


@pytest.mark.parametrize(("volume_ml", "least_mm", "most_mm"), [(3, 4, 9), (15, 7.5, 13), (40, 10, 18), (90, 13, 24)])
def test_a_crescent_is_as_deep_for_its_volume_as_on_scans(anatomy, volume_ml, least_mm, most_mm):
    depths = []
    for seed in range(4):
        growth = plan_of(anatomy, Form.CONVEXITY, volume_ml, seed).grow(volume_ml)
        inside = -anatomy.atlas.cavity_distance[growth.box]
        depths.append(float(np.percentile(inside[growth.fraction > 0.5], 99)))

    assert least_mm < np.median(depths) < most_mm


@pytest.mark.parametrize("volume_ml", [15, 40])
def test_most_of_a_crescent_lies_clear_of_the_bones_blur(anatomy, volume_ml):
    growth = plan_of(anatomy, Form.CONVEXITY, volume_ml, 0).grow(volume_ml)
    inside = -anatomy.atlas.cavity_distance[growth.box]

    assert (growth.fraction * (inside > 2)).sum() > 0.55 * growth.fraction.sum()


def test_subarachnoid_blood_fills_csf_and_spares_the_ventricles(anatomy, growths):
    growth = growths[HemorrhageType.SAH]
    grey, white, ventricle = anatomy.in_grid(anatomy.fractions, growth.box)
    blood = growth.fraction > 0.5

    assert (grey + white)[blood].max() < 0.7
    assert ventricle[blood].max() < 0.2


def test_much_subarachnoid_blood_is_mostly_cisternal_and_little_mostly_sulcal():
    def share(form, volume_ml):
        rngs = (stream(seed, "form") for seed in range(300))
        return np.mean([draw_bleeds(HemorrhageType.SAH, volume_ml, rng)[0].form is form for rng in rngs])

    assert share(Form.CISTERNAL, 25.0) > 0.75
    assert share(Form.SULCAL, 1.0) > 0.5


def test_subarachnoid_blood_lies_in_sulci_and_not_as_a_film_under_the_bone(anatomy):
    for form in (Form.SULCAL, Form.CISTERNAL):
        growth = plan_of(anatomy, form, 15.0).grow(15.0)
        depth = -anatomy.atlas.cavity_distance[growth.box]

        assert (growth.fraction * (depth < 1.5)).sum() < 0.03 * growth.fraction.sum()


def test_cisternal_blood_is_thicker_where_it_begins_than_where_it_has_run_to(anatomy):
    near, far = [], []
    for seed in range(6):
        plan = plan_of(anatomy, Form.CISTERNAL, 30.0, seed)
        density = plan.density[plan.reached]
        near.append(np.median(density[plan.way < 10]))
        far.append(np.median(density[(plan.way > 35) & (plan.way < 60)]))

    assert np.mean(near) > np.mean(far) + 5


def test_nothing_is_pushed_where_the_skull_is(anatomy, growths):
    outside = at_warp_nodes(np.asarray(anatomy.atlas.cavity_distance)) > 8

    for kind in (HemorrhageType.IPH, HemorrhageType.EDH_SDH):
        assert np.abs(growths[kind].push[:, outside]).max() < 0.5


def test_the_brain_gives_way_to_a_collection_and_the_midline_shifts(anatomy):
    plan = plan_of(anatomy, Form.CONVEXITY, 100.0, seed=3)
    growth = plan.grow(100.0)
    pushed = anatomy.push_tissue(growth.push)
    x = np.arange(growth.fraction.shape[2]) + growth.low[2]
    blood_x = float((growth.fraction.sum((0, 1)) * x).sum() / growth.fraction.sum())
    z, y = (int(low + n / 2) for low, n in zip(growth.low[:2], growth.fraction.shape[:2], strict=True))
    row = (z - anatomy.cavity_box[0].start, y - anatomy.cavity_box[1].start)
    before, after = (int(np.abs(a.falx[row]).argmin()) + anatomy.cavity_box[2].start for a in (anatomy, pushed))

    assert 1 <= (after - before) * np.sign(before - blood_x) <= 20


def test_sulci_close_beside_a_large_collection_and_stay_open_far_from_it(anatomy):
    anatomy = replace(anatomy, build=replace(anatomy.build, atrophy=1.2))
    growth = plan_of(anatomy, Form.CONVEXITY, 60.0, seed=3).grow(60.0)
    pushed, _, _ = lay_bleeds(anatomy, [(HemorrhageType.EDH_SDH, growth)])

    def fluid(head: Anatomy) -> np.ndarray:
        grey, white, ventricle = head.fractions
        return np.maximum(head.cavity - grey - white - ventricle, 0)

    blood = np.zeros(anatomy.cavity.shape, bool)
    blood[growth.inside(anatomy.cavity_box)] = growth.fraction > 0.5
    away = ndimage.distance_transform_edt(~blood)
    sulci = (anatomy.landmarks.depth > 8) & (anatomy.landmarks.depth < 24) & (anatomy.landmarks.z > 0)
    near, far = sulci & (away > 1) & (away < 7), sulci & (away > 90)

    assert fluid(pushed)[near].mean() < 0.3 * fluid(anatomy)[near].mean()
    assert fluid(pushed)[far].mean() > 0.85 * fluid(anatomy)[far].mean()


def test_the_dark_rim_of_an_acute_clot_holds_about_half_as_much_as_the_clot(anatomy, monkeypatch):
    monkeypatch.setattr(Clot, "draw", lambda *_, **__: Clot(Age.ACUTE, 65.0, 1.0, 0.0))
    shares = []
    for seed in range(6):
        growth = plan_of(anatomy, Form.LOBAR, 20.0, seed=seed).grow(20.0)
        rim = (growth.oedema > 3) & (growth.fraction < 0.1)
        shares.append(float(rim.sum()) * anatomy.voxel_ml / 20.0)

    # 5.3 mL beside 11.7 within hours, 46 beside 39 within a day or two.
    assert 0.35 < np.median(shares) < 1.2


def test_a_push_fades_from_where_it_is_given_to_the_skull():
    shape = (12, 12, 12)
    free = np.zeros(shape, bool)
    free[1:-1, 1:-1, 1:-1] = True
    given = np.zeros(shape, bool)
    given[5:7, 5:7, 1:3] = True
    push = np.zeros((3, *shape), np.float32)
    push[2, given] = 6
    out = relax(push, given, free)

    np.testing.assert_array_equal(out[2, given], 6)
    assert np.abs(out[:, ~free]).max() == 0
    along = out[2, 5, 5, 2:11]
    assert np.all(np.diff(along) <= 1e-4)
    assert 0 < along[3] < 6


def test_blood_replaces_tissue_and_spares_bone(anatomy, growths):
    growth = growths[HemorrhageType.EDH_SDH]
    # Beam hardening shifts blood and brain alike.
    anatomy = replace(anatomy, mimics=anatomy.mimics.without("peripheral hardening", "petrous hardening"))
    without = anatomy.hu()
    _, hu, (blood,) = lay_bleeds(anatomy, [(HemorrhageType.EDH_SDH, growth)])
    full = growth.fraction > 0.99
    bone = anatomy.atlas.cavity_distance > 0.6

    np.testing.assert_allclose(hu[growth.box][full], growth.density[full], atol=1.0)
    np.testing.assert_array_equal(hu[bone], without[bone])
    assert blood.rise.min() >= 0


@pytest.mark.parametrize("form", Form)
def test_every_form_grows_to_a_small_and_to_its_usual_volume(anatomy, form):
    for volume_ml in (0.02, 3.0):
        growth = plan_of(anatomy, form, volume_ml, side=-1.0).grow(volume_ml)

        assert growth.fraction.sum() * anatomy.voxel_ml == pytest.approx(volume_ml, rel=0.15)
        assert growth.fraction.max() <= 1


def test_blood_in_a_ventricle_sinks_to_its_back(anatomy):
    growth = plan_of(anatomy, Form.VENTRICULAR, 1.0, seed=2).grow(1.0)
    y = np.arange(growth.fraction.shape[1]) + growth.low[1]
    of_blood = float((growth.fraction.sum((0, 2)) * y).sum() / growth.fraction.sum())
    ventricle = anatomy.fractions[2]
    of_ventricles = float((ventricle.sum((0, 2)) * (np.arange(ventricle.shape[1]) + anatomy.cavity_box[1].start)).sum())

    assert of_blood > of_ventricles / float(ventricle.sum()) + 15


def test_bleeds_that_meet_share_the_voxel_and_the_later_has_its_place(anatomy, growths):
    growth = growths[HemorrhageType.IPH]
    _, _, (first, last) = lay_bleeds(
        anatomy, [(HemorrhageType.SAH, replace(growth, push=None)), (HemorrhageType.IPH, growth)]
    )

    np.testing.assert_allclose(last.fraction, growth.fraction, atol=1e-6)
    assert first.fraction[first.fraction.shape[0] // 2].max() <= 1
    overlap = first.fraction + last.fraction if first.fraction.shape == last.fraction.shape else last.fraction
    assert overlap.max() <= 1 + 1e-5


@pytest.mark.parametrize("kind", TYPES)
def test_bleeds_of_the_type_asked_for_hold_the_volume_together(kind):
    for seed in range(40):
        volume_ml = float(stream(seed, "volume").uniform(0.01, 60))
        bleeds = draw_bleeds(kind, volume_ml, stream(seed, "bleeds"))

        assert bleeds[0].form.type is kind
        assert sum(b.volume_ml for b in bleeds if b.form.type is kind) == pytest.approx(volume_ml)
        assert all(b.volume_ml > 0 for b in bleeds)


@pytest.mark.parametrize("kind", TYPES)
def test_some_bleeds_have_companions_and_none_has_where_they_are_switched_off(kind):
    drawn = [draw_bleeds(kind, 12.0, stream(seed, "bleeds")) for seed in range(200)]
    alone = [draw_bleeds(kind, 12.0, stream(seed, "bleeds"), companions=False) for seed in range(200)]

    assert 0.25 < np.mean([len(bleeds) > 1 for bleeds in drawn]) < 0.75
    assert {(len(bleeds), bleeds[0].volume_ml) for bleeds in alone} == {(1, 12.0)}
    assert [bleeds[0].form for bleeds in alone] == [bleeds[0].form for bleeds in drawn]


def test_epidural_blood_lies_on_the_side_of_a_fracture_and_is_likelier_there():
    broken = [draw_bleeds(HemorrhageType.EDH_SDH, 20.0, stream(s, "b"), fractured_side=1.0)[0] for s in range(200)]
    whole = [draw_bleeds(HemorrhageType.EDH_SDH, 20.0, stream(s, "b"))[0] for s in range(200)]
    epidural = [bleed for bleed in broken if bleed.form is Form.EPIDURAL]

    assert {bleed.side for bleed in epidural} == {1.0}
    assert len(epidural) > 1.5 * sum(bleed.form is Form.EPIDURAL for bleed in whole)


def test_volumes_are_distributed_as_in_the_papers_table():
    rng = stream(0, "volume")
    of_type = {Diagnosis.IPH: 23, Diagnosis.EDH_SDH: 38, Diagnosis.SAH: 21}
    drawn = np.concatenate([[draw_volume_ml(rng, kind) for _ in range(60 * n)] for kind, n in of_type.items()])

    assert np.median(drawn) == pytest.approx(24.9, rel=0.1)
    assert np.percentile(drawn, 25) == pytest.approx(8.3, rel=0.15)
    assert np.percentile(drawn, 75) == pytest.approx(35.6, rel=0.1)
    assert np.mean(drawn < 0.01) == pytest.approx(4 / 82, abs=0.02)


def test_training_sees_more_small_bleeds_than_the_papers_cohort():
    rng = stream(0, "volume")
    wide = [draw_volume_ml(rng, Diagnosis.IPH, BleedSizes.WIDE) for _ in range(1000)]

    assert np.mean(np.array(wide) < 5) > 0.35


@pytest.mark.parametrize("form", Form)
def test_the_held_out_generator_draws_another_shape_of_the_same_volume(anatomy, form):
    bleed = Bleed(form, 3.0, 1.0)
    familiar, held_out = (
        plan_bleed(anatomy, bleed, stream(SEED, "blood"), shapes).grow(3.0).fraction
        for shapes in (BleedShapes.FAMILIAR, BleedShapes.HELD_OUT)
    )

    assert held_out.sum() * anatomy.voxel_ml == pytest.approx(3.0, rel=0.15)
    assert held_out.shape != familiar.shape or np.abs(held_out - familiar).sum() > 0.2 * familiar.sum()


def test_percolating_blood_has_a_rougher_edge_than_a_ragged_ball(anatomy):
    bleed = Bleed(Form.LOBAR, 15.0, 1.0)
    edges = []
    for shapes in (BleedShapes.FAMILIAR, BleedShapes.HELD_OUT):
        growths = [plan_bleed(anatomy, bleed, stream(seed, "blood"), shapes).grow(15.0) for seed in range(3)]
        blood = [np.pad(growth.fraction > 0.5, 1) for growth in growths]
        edges.append(sum(sum(int(np.diff(b, axis=a).sum()) for a in range(3)) / b.sum() for b in blood))

    assert edges[1] > 1.15 * edges[0]


def test_epidural_blood_stops_at_the_sutures_of_its_bone(anatomy):
    crossing = []
    for seed in range(6):
        growth = plan_of(anatomy, Form.EPIDURAL, 25.0, seed=seed).grow(25.0)
        (from_suture,) = anatomy.in_grid([anatomy.suture_distance], growth.box)
        depth = -anatomy.atlas.cavity_distance[growth.box]
        at_suture = (from_suture < 1.5) & (depth > 0) & (depth < 12)
        crossing.append(float(growth.fraction[at_suture].sum()) / float(growth.fraction.sum()))

    assert np.median(crossing) < 0.001


def test_an_epidural_lens_is_neither_flat_nor_a_dome_whatever_its_size(anatomy):
    """Its depth is a fifth to two fifths of its diameter (own figure, from the look of lenses on axial slices)."""
    for volume_ml in (0.3, 3.0, 30.0):
        shapes = []
        for seed in range(5):
            growth = plan_of(anatomy, Form.EPIDURAL, volume_ml, seed=seed).grow(volume_ml)
            depth = -anatomy.atlas.cavity_distance[growth.box]
            wall_mm2 = float((growth.fraction * (depth < 1.0)).sum())
            deepest_mm = float(depth[growth.fraction > 0.5].max())
            shapes.append(deepest_mm / (2 * np.sqrt(wall_mm2 / np.pi)))

        assert 0.18 < np.median(shapes) < 0.42


def test_the_blood_of_one_who_lies_on_the_back_settles_below_a_level():
    density = settle(np.full((1, 40, 1), 60, np.float32), np.arange(40, dtype=np.float32)[None, :, None], 20.0, 15.0)

    assert density[0, :17].max() < 46
    assert density[0, 24:].min() > 60


def test_down_is_to_the_back_of_the_head_whatever_its_pose(anatomy):
    for seed in range(4):
        head = Anatomy.draw(seed)
        box = (slice(60, 61), slice(40, 180), slice(90, 91))
        down = downwards(head, box)[0, :, 0]

        assert np.all(np.diff(down) > 0.7)
        points = np.array([[0.0, -30.0, 20.0], [0.0, 40.0, 20.0]])  # the second lies 70 mm lower
        z, y, x = (head.atlas_index(points)[:, a] for a in range(3))
        whole = downwards(head, tuple(slice(0, n) for n in head.atlas.shape))
        low, high = (float(whole[tuple(round(v[i]) for v in (z, y, x))]) for i in (1, 0))
        assert low - high == pytest.approx(70, abs=9)


LOBAR = Bleed(Form.LOBAR, 20.0, 1.0)


def test_a_clear_clot_is_acute_and_plainly_denser_than_brain(anatomy):
    anaemic = replace(anatomy, tissue=replace(anatomy.tissue, haematocrit=26.3))
    clots = [Clot.draw(anaemic, replace(LOBAR, clear=True), stream(s, "c"), subacute_rate=0.5) for s in range(30)]

    assert {clot.age for clot in clots} == {Age.ACUTE}
    assert min(clot.hu for clot in clots) >= 60


@pytest.mark.parametrize("form", FORMS.values())
def test_a_clear_bleed_of_any_type_is_plainly_denser_than_brain(anatomy, form):
    for seed in range(6):  # some would be thinned by CSF, or mixed with older blood
        growth = plan_bleed(anatomy, replace(Bleed(form, 35.0, 1.0), clear=True), stream(seed, "clear")).grow(35.0)
        assert np.median(growth.density[growth.fraction > 0.5]) > 55


def test_clots_of_the_anaemic_are_darker(anatomy):
    dark, bright = (
        np.median(
            [
                Clot.draw(
                    replace(anatomy, tissue=replace(anatomy.tissue, haematocrit=haematocrit)), LOBAR, stream(s, "c")
                ).hu
                for s in range(40)
            ]
        )
        for haematocrit in (28.4, 49.5)
    )

    assert 44 < dark < 60 < bright < 82


def test_clots_are_as_dense_as_their_age_says_and_seldom_as_dense_as_brain(anatomy):
    drawn = [
        Clot.draw(replace(anatomy, tissue=Tissue.draw(stream(seed, "tissue"))), LOBAR, stream(seed, "blood 0"))
        for seed in range(1500)
    ]
    acute = np.array([clot.hu for clot in drawn if clot.age is Age.ACUTE])

    assert np.mean((acute >= 55) & (acute <= 80)) > 0.9
    assert acute.min() > ISODENSE_HU
    assert 0.01 < np.mean([clot.hu < ISODENSE_HU for clot in drawn]) < 0.05
    for age in (Age.HYPERACUTE, Age.SUBACUTE):
        assert np.median([clot.hu for clot in drawn if clot.age is age]) < np.median(acute) - 5


def test_unclotted_blood_of_an_ordinary_haematocrit_measures_45_to_60(anatomy):
    ordinary = replace(anatomy, tissue=replace(anatomy.tissue, haematocrit=40.0))
    drawn = [Clot.draw(ordinary, LOBAR, stream(seed, "c")) for seed in range(300)]

    assert all(45 <= clot.hu <= 60 for clot in drawn if clot.age is Age.HYPERACUTE)


def test_blood_as_dense_as_brain_presses_on_it_and_has_oedema(anatomy, monkeypatch):
    pale = Clot(Age.HYPERACUTE, 41.0, 1.0, 0.0)
    monkeypatch.setattr(Clot, "draw", lambda *_, **__: pale)
    plans = [plan_of(anatomy, Form.LOBAR, 30.0, seed) for seed in range(4)]

    assert min(plan.oedema_hu for plan in plans) >= 7
    assert min(plan.push_share for plan in plans) >= 0.6


def test_contrast_in_vessels_thickens_no_clot_and_a_high_haematocrit_does(anatomy):
    plain, filled, thick = (
        Clot.draw(replace(anatomy, tissue=tissue), LOBAR, stream(1, "c")).hu
        for tissue in (
            replace(anatomy.tissue, haematocrit=36.0, venous=49.2),
            ContrastInVessels(200.0).thicken(replace(anatomy.tissue, haematocrit=36.0, venous=49.2)),
            ThickBlood(55.0).thicken(anatomy.tissue),
        )
    )

    assert plain == filled < thick
