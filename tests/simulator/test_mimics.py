# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What looks like blood and is none: it is there when drawn, where it belongs, and at the stated rates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from simulator.anatomy import Anatomy
from simulator.fields import stream
from simulator.gallery.pages import Choice, PageName, plan_page
from simulator.geometry import ScanGeometry
from simulator.holder import Holder
from simulator.landmarks import Landmarks
from simulator.mimics import HELD_OUT, KINDS, Kind, Mimics
from simulator.mimics.beam_hardening import PeripheralHardening, PetrousHardening
from simulator.mimics.calcifications import Pineal
from simulator.mimics.contrast import ContrastInVessels, ContrastStaining
from simulator.mimics.dura import DenseDura
from simulator.mimics.infarcts import OldInfarct, Territory
from simulator.mimics.mimic import MIDDLE, Inside, Mimic, Nodes, Outside
from simulator.mimics.openings import BurrHoles, Craniotomy
from simulator.mimics.scalp import Dressing, Electrodes, Laceration, SkinClips, Swelling
from simulator.mimics.sinuses import ThickBlood
from simulator.mimics.tumours import Meningioma
from simulator.mimics.white_matter import WhiteMatterDisease
from simulator.population import MimicSet
from simulator.tissue import Tissue, blood_hu

HEADS = 600
EXAMPLES = 4


@dataclass(frozen=True)
class Looking(Mimic):
    """Changes nothing, and keeps what mimics are given."""

    inside: list[Inside] = field(default_factory=list)
    outside: list[Outside] = field(default_factory=list)

    def lay_over_dura(self, inside: Inside) -> None:
        self.inside.append(inside)

    def lay_outside(self, outside: Outside) -> None:
        self.outside.append(replace(outside, hu=outside.hu.copy()))


@pytest.fixture(scope="module")
def drawn() -> list[Mimics]:
    return [Mimics.draw(seed) for seed in range(HEADS)]


@pytest.fixture(scope="module")
def plain() -> Anatomy:
    """A head without any mimic."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mimics, "draw", classmethod(lambda *_: Mimics()))
        return Anatomy.draw(31)


def with_mimic(plain: Anatomy, mimic: Mimic) -> Anatomy:
    mimics = Mimics((("one", mimic),))
    return replace(plain, mimics=mimics, exterior=replace(plain.exterior, mimics=mimics))


@pytest.fixture(scope="module")
def looked(plain) -> Looking:
    looking = Looking()
    with_mimic(plain, looking).hu()
    return looking


@pytest.fixture
def inside(looked) -> Inside:
    return replace(looked.inside[0], hu=looked.inside[0].hu.copy())


@pytest.fixture
def outside(looked) -> Outside:
    return replace(looked.outside[0], hu=looked.outside[0].hu.copy())


def change_of(plain: Anatomy, mimic: Mimic) -> np.ndarray:
    return with_mimic(plain, mimic).intracranial - plain.intracranial


def examples(name: str) -> list[Mimic]:
    return [{**KINDS, **HELD_OUT}[name].draw(stream(seed, f"an example of {name}")) for seed in range(EXAMPLES)]


def added_hu(inside: Inside, mimic: Mimic) -> np.ndarray:
    """Return what a mimic adds to the HU of the cavity."""
    here = replace(inside, hu=inside.hu.copy())
    mimic.lay_in_brain(here)
    mimic.lay_over_dura(here)
    return here.hu - inside.hu


def within(z: tuple[float, float], y: tuple[float, float], x: tuple[float, float]) -> Callable[[Landmarks], np.ndarray]:
    """Return whether voxels lie between MNI z, y and |x|."""
    return lambda at: (
        (at.z > z[0]) & (at.z < z[1]) & (at.y > y[0]) & (at.y < y[1]) & (np.abs(at.x) >= x[0]) & (np.abs(at.x) < x[1])
    )


BRIGHT = {
    "falx plaques": (lambda at: np.abs(at.falx) < 6, 1000),
    "tentorial calcium": (within((-48, 0), (-60, 10), (0, 72)), 700),
    "large sinuses": (lambda at: np.broadcast_to(at.y < -30, at.depth.shape), 80),
    "sinus thrombosis": (lambda at: (at.depth < 16) & (at.y < -25), 100),
    "pineal": (within((-16, 16), (-45, -14), (0, 12)), 460),
    "habenula": (within((-14, 20), (-38, -10), (0, 14)), 300),
    "choroid plexus": (within((-12, 30), (-62, -22), (6, 44)), 400),
    "basal ganglia": (within((-22, 20), (-26, 24), (2, 36)), 220),
    "dentate nuclei": (within((-54, -14), (-82, -36), (0, 34)), 280),
    "cortical calcification": (lambda at: at.depth < 30, 500),
    "carotid siphons": (within((-50, -8), (-24, 20), (2, 26)), 800),
    "vertebrobasilar arteries": (within((-71, -10), (-55, 0), (0, 24)), 800),
    "contrast staining": (lambda at: at.tentorium > -6, 110),
}
DARK = {
    "arachnoid granulations": lambda at: at.depth < 14,
    "lacunes": within((-48, 50), (-60, 40), (0, 46)),
    "mega cisterna magna": lambda at: (at.tentorium < -5) & (at.y < -40),
    "arachnoid cyst": lambda at: at.depth < 50,
}


def test_at_least_half_of_all_heads_carry_a_mimic_that_confuses(drawn):
    assert np.mean([mimics.confusing for mimics in drawn]) > 0.5


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_its_stated_rate(drawn, name):
    rate = KINDS[name].rate
    count = sum(name in mimics.names for mimics in drawn)

    assert abs(count - rate * HEADS) < 4 * np.sqrt(HEADS * rate * (1 - rate))


def test_a_kind_that_is_held_out_is_no_familiar_one_and_always_there_when_asked_for():
    assert HELD_OUT
    assert not set(HELD_OUT) & set(KINDS)
    for seed in range(20):
        assert Mimics.draw(seed, MimicSet.HELD_OUT).names == (*Mimics.draw(seed).names, *HELD_OUT)


def test_no_kind_moves_another(monkeypatch):
    before = Mimics.draw(3)
    monkeypatch.delitem(KINDS, before.names[0])

    assert Mimics.draw(3) == before.without(before.names[0])


@pytest.mark.parametrize("name", BRIGHT)
def test_what_is_bright_is_bright_in_its_place_alone(inside, name):
    where, highest = BRIGHT[name]
    place = np.broadcast_to(where(inside.at), inside.hu.shape)
    changes = [added_hu(inside, mimic) for mimic in examples(name)]

    assert max(change.max() for change in changes) > 12
    for change in changes:
        assert not change[~place].any()
        assert (inside.hu + change)[np.abs(change) > 1].max(initial=0) < highest
        assert change.min() > -1


@pytest.mark.parametrize("name", DARK)
def test_what_is_filled_with_csf_is_dark_in_its_place_alone(inside, name):
    place = np.broadcast_to(DARK[name](inside.at), inside.hu.shape)
    changes = [added_hu(inside, mimic) for mimic in examples(name)]

    assert min(change.min() for change in changes) < -12
    for change in changes:
        assert not change[~place].any()
        assert change.max() < 18  # CSF of the mimic in colder CSF
        assert (inside.hu + change)[change < -20].min(initial=0) > -5


@pytest.mark.parametrize("name", ["old infarct", "fresh infarct", "brain tumour"])
def test_a_lesion_of_one_hemisphere_leaves_the_other_alone(inside, name):
    for mimic in examples(name):
        change = added_hu(inside, mimic)
        side = np.sign((np.abs(change) * inside.at.falx).sum())

        assert np.abs(change).max() > 4
        assert np.abs(change[side * inside.at.falx < -6]).max() < 14
        assert np.abs(change[side * inside.at.falx < -6]).sum() < 0.02 * np.abs(change).sum()


@pytest.mark.parametrize("name", ["aneurysm clip", "aneurysm coil"])
def test_metal_is_small_and_above_the_scale(inside, name):
    for mimic in examples(name):
        change = added_hu(inside, mimic)

        assert 3 < (change > 1500).sum() < 1000
        assert (inside.hu + change).max() > 3000


def test_thick_blood_and_contrast_change_vessels_alone(plain):
    for mimic, lowest in ((ThickBlood(75.0), 74), (ContrastInVessels(180.0), 170)):
        tissue = mimic.thicken(plain.tissue)

        assert tissue.venous > lowest
        assert abs(tissue.white - plain.tissue.white) < 4
        assert tissue.csf == plain.tissue.csf


def test_a_meningioma_is_even_and_between_45_and_60_hu(inside):
    mimic = Meningioma((0.8, 0.2, 0.55), False, 15.0, 0.8, 52.0, 0.0, 5.0, 0.0)
    change = added_hu(inside, mimic)
    whole = (inside.hu + change)[change > 15]

    assert whole.size > 1500
    assert np.median(whole) == pytest.approx(52, abs=2)
    assert np.percentile(np.abs(whole - 52), 75) < 4


def test_bone_is_opened_and_the_cavity_untouched_by_surgery(outside):
    before = outside.hu.copy()
    BurrHoles((((0.8, 0.4, 0.5), 6.0, 30.0),)).lay_outside(outside)
    holes = before - outside.hu
    Craniotomy((0.5, 0.5, -0.7), 0.35, 2.5, ()).lay_outside(outside)
    kerf = before - outside.hu - holes

    for opened in (holes, kerf):
        assert (opened > 300).sum() > 100
        assert not opened[(outside.inner < -0.6) | (outside.outer > 0.6)].any()
    assert before[(holes > 300)].min() > 300


def test_plates_clips_and_electrodes_are_dense_and_outside_the_bone(outside):
    before = outside.hu.copy()
    Craniotomy((0.5, 0.5, -0.7), 0.35, 2.5, (0.0, 2.0, 4.0)).lay_outside(outside)
    assert (outside.hu > 3000).sum() > 10
    for mimic in (*examples("skin clips"), *examples("electrodes")):
        assert isinstance(mimic, SkinClips | Electrodes)
        here = replace(outside, hu=before.copy())
        mimic.lay_outside(here)
        change = here.hu - before

        assert (change > 300).any()
        assert not change[outside.skin < -3].any()


def test_a_laceration_brings_air_into_the_scalp(outside):
    before = outside.hu.copy()
    for mimic in examples("laceration"):
        assert isinstance(mimic, Laceration)
        here = replace(outside, hu=before.copy())
        mimic.lay_outside(here)

        assert ((before > -200) & (here.hu < -700)).sum() > 3
        np.testing.assert_array_equal(here.hu[outside.outer < -1], before[outside.outer < -1])


def test_a_dressing_lies_in_air_alone(outside):
    before = outside.hu.copy()
    Dressing(10.0, 50.0, 5.0, -700.0).lay_outside(outside)
    change = outside.hu - before

    assert (change > 200).sum() > 5000
    assert not change[outside.skin < -1.5].any()


def test_a_place_is_seen_where_the_head_shows_its_tissue(plain, inside):
    z, y, x = plain.atlas.mni()
    point = (8.0, -30.0, 22.0)
    spot = np.exp(-0.5 * (((z - point[0]) / 3) ** 2 + ((y - point[1]) / 3) ** 2 + ((x - point[2]) / 3) ** 2))
    shown = plain.warp(np.asarray(spot, np.float32))
    centre = [float((shown * grid).sum() / shown.sum()) for grid in (inside.at.z, inside.at.y, inside.at.x)]

    np.testing.assert_allclose(inside.locate(point), centre, atol=1.2)


@pytest.mark.parametrize("share", [0.4, -0.3])
def test_a_ball_makes_room_for_its_share_of_volume_and_none_at_the_skull(share):
    z, y, x = np.meshgrid(*(np.arange(-40, 41, 4, dtype=np.float32),) * 3, indexing="ij")
    far, depth = np.full(z.shape, 60, np.float32), np.float32(40) - np.maximum(np.abs(y), np.abs(x))
    push = Nodes(z, -y, -x, depth, far, far).away((0.0, 0.0, 0.0), 12.0, share)
    seen = (10, 10, 14)  # 16 mm from the middle towards higher x of the grid
    came_from = 16 + push[2][seen]

    assert came_from == pytest.approx(np.cbrt(16**3 - share * 12**3), abs=0.3)
    assert not push[:, depth <= 0].any()


def test_a_calcified_pineal_is_one_bright_spot_at_the_midline(plain):
    change = change_of(plain, Pineal((((1.0, -28.0, 0.0), 2.0, 200.0),)))
    z, y, x = (centre.mean() for centre in np.nonzero(change > 50))
    at = plain.landmarks

    assert 5 < (change > 50).sum() < 200
    assert abs(at.x.ravel()[round(x)]) < 4
    assert at.z.ravel()[round(z)] == pytest.approx(1, abs=4)
    assert at.y.ravel()[round(y)] == pytest.approx(-28, abs=4)


def test_staining_of_cortex_follows_the_cortex_and_keeps_to_its_side(inside):
    mimic = ContrastStaining(1.0, 30.0, 0.0, 0.0, Territory("middle cerebral", 1.0, 0.8), 0.0)
    change, at = added_hu(inside, mimic), inside.at
    stained = np.broadcast_to(mimic.cortex.share(inside)[1].max() > 0, change.shape) & (change > 0)
    cortex, white = (stained & (part > 0.95) for part in (at.brain - at.white, at.white))

    assert np.percentile(change[cortex], 75) == pytest.approx(18, abs=3)
    assert np.percentile(change[cortex], 75) > 3 * np.percentile(change[white], 75)
    assert np.abs(change[at.falx < -3]).max() < 0.1
    assert np.abs(change[inside.ventricle > 0.99]).max() < 3


def test_staining_is_met_often_enough_to_be_learnt_and_differs_in_density_and_place(drawn):
    stained = [m for mimics in drawn for name, m in mimics.present if name == "contrast staining"]
    deep = [m.size > 0 for m in stained]
    cortical = [m.cortex is not None for m in stained]

    assert len(stained) > 0.03 * len(drawn)
    assert np.ptp([m.hu for m in stained]) > 25
    assert 0.5 < np.mean(deep) < 1
    assert 0.2 < np.mean(cortical) < 0.8
    assert all(d or c for d, c in zip(deep, cortical, strict=True))


def test_flowing_blood_goes_with_the_heads_haematocrit_and_is_never_as_dense_as_a_clot():
    heads = [Tissue.draw(stream(seed, "tissue")) for seed in range(300)]
    venous = np.array([tissue.venous for tissue in heads])
    thick = [ThickBlood.draw(stream(seed, "thick")).thicken(heads[0]) for seed in range(100)]

    assert all(tissue.venous == tissue.blood == blood_hu(tissue.haematocrit) for tissue in (*heads, *thick))
    assert 50 < np.median(venous) < 56
    assert venous.max() < 68
    assert max(tissue.venous for tissue in thick) < 71  # 166 of 166 normal ones: Black et al. 2011


def test_a_dense_falx_is_bright_along_the_midline_only(plain):
    change = change_of(plain, DenseDura(25.0, 12.0, 0.5))
    at = plain.landmarks
    away = (np.abs(at.falx) > 4) & (np.abs(at.tentorium) > 4)

    assert change.max() > 12
    assert np.abs(change[away]).max() < 0.5


def test_white_matter_disease_darkens_beside_the_ventricles(plain):
    change = change_of(plain, WhiteMatterDisease(8.0, 7.0))
    at = plain.landmarks

    assert change.max() <= 0.01
    assert change[(at.from_ventricle < 4) & (at.white > 0.95) & (at.z > 5)].mean() < -2
    assert np.abs(change[at.from_ventricle > 28]).max() < 0.3


def test_an_old_infarct_is_nearly_as_dark_as_csf_and_keeps_to_its_side(plain):
    change = change_of(plain, OldInfarct(Territory("middle cerebral, upper", 1.0, 0.8), 0.9, 0.0))

    assert (change < -12).sum() > 5000
    assert change.max() < 12
    assert np.abs(change[plain.landmarks.falx < -3]).max() < 0.1


def test_beam_hardening_brightens_under_the_skull_and_darkens_between_the_petrous_bones(plain):
    peripheral, petrous = (
        (with_mimic(plain, mimic).hu() - plain.hu())[plain.cavity_box]
        for mimic in (PeripheralHardening(6.0, 6.0), PetrousHardening(10.0))
    )
    at = plain.landmarks
    full = plain.cavity > 0.99

    assert peripheral[full & (at.depth < 2)].mean() > 3
    assert petrous[full & (np.abs(at.z + 36) < 3) & (np.abs(at.y + 28) < 3) & (np.abs(at.x) < 10)].mean() < -6


def test_a_swelling_lifts_the_skin_and_leaves_the_skull(plain):
    without, swollen = plain.hu(), with_mimic(plain, Swelling((30.0, 40.0, 50.0), 20.0, 9.0)).hu()
    lifted = (without < -900) & (swollen > 20)

    assert 1000 < lifted.sum() < 60000
    np.testing.assert_array_equal(without[plain.atlas.cavity_distance < 0], swollen[plain.atlas.cavity_distance < 0])


def test_the_holder_lies_behind_the_head_in_air_alone():
    geometry = ScanGeometry(128, 128, (2.2, 2.2), (0.0, 5.0), (5.0, 5.0), centre_mm=(0.0, 15.0, 0.0))
    hu = np.full(geometry.shape, -1000, np.float32)
    hu[:, 30:120, 40:90] = 40
    before = hu.copy()
    Holder.draw(np.random.default_rng(0)).lay(hu, geometry)
    rows = np.nonzero(hu != before)[1]

    np.testing.assert_array_equal(hu[before == 40], 40)
    assert rows.size > 100
    assert rows.mean() > 75


@dataclass(frozen=True)
class Pearl(Mimic):
    """A ball of 70 HU in the middle of the head, as a later version may draw it."""

    @classmethod
    def draw(cls, _rng: np.random.Generator) -> Pearl:
        return cls()

    def lay_in_brain(self, inside: Inside) -> None:
        box, distance = inside.along((MIDDLE, MIDDLE), 6.0)
        inside.blend(box, (distance < 5.0).astype(np.float32), 70.0)


def test_one_new_mimic_is_in_every_head_it_is_drawn_for_in_its_hu_its_record_and_the_gallery(
    plain: Anatomy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(KINDS, "pearl", Kind(Pearl.draw, 1.0))
    (mimic,) = [mimic for name, mimic in Mimics.draw(5).present if name == "pearl"]
    assert "pearl" in Mimics.draw(6).names
    assert Mimics.draw(6).without("pearl").names == tuple(name for name in Mimics.draw(6).names if name != "pearl")
    assert Mimics((("pearl", mimic),)).confusing
    added = change_of(plain, mimic)
    assert 300 < np.count_nonzero(added > 5) < 700  # about 524 mm3 on a grid of 1 mm
    assert "pearl" in [strip.args[0] for strip in plan_page(PageName.MIMICS, Choice()).strips]
