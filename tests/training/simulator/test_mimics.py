# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What looks like blood and is none: it is there when drawn, where it belongs, and at the stated rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.simulator.anatomy import Anatomy
from training.simulator.geometry import ScanGeometry
from training.simulator.holder import Holder
from training.simulator.mimics import HELD_OUT, KINDS, Mimics
from training.simulator.mimics.beam_hardening import PeripheralHardening, PetrousHardening
from training.simulator.mimics.calcifications import Pineal
from training.simulator.mimics.dura import DenseDura
from training.simulator.mimics.infarcts import OldInfarct, Territory
from training.simulator.mimics.mimic import Mimic
from training.simulator.mimics.scalp import Swelling
from training.simulator.mimics.white_matter import WhiteMatterDisease

HEADS = 600


@pytest.fixture(scope="module")
def drawn() -> list[Mimics]:
    return [Mimics.drawn(seed) for seed in range(HEADS)]


@pytest.fixture(scope="module")
def plain() -> Anatomy:
    """A head without any mimic."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Mimics, "drawn", classmethod(lambda *_: Mimics()))
        return Anatomy.drawn(31)


def with_mimic(plain: Anatomy, mimic: Mimic) -> Anatomy:
    return replace(plain, mimics=Mimics((("one", mimic),)))


def changed(plain: Anatomy, mimic: Mimic) -> np.ndarray:
    return with_mimic(plain, mimic).intracranial - plain.intracranial


def test_at_least_half_of_all_heads_carry_a_mimic_that_confuses(drawn):
    assert np.mean([mimics.confusing for mimics in drawn]) > 0.5


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_has_its_stated_rate(drawn, name):
    rate = KINDS[name].rate
    count = sum(name in mimics.names for mimics in drawn)

    assert abs(count - rate * HEADS) < 4 * np.sqrt(HEADS * rate * (1 - rate))


def test_a_kind_that_is_held_out_is_no_familiar_one():
    assert not set(HELD_OUT) & set(KINDS)


def test_a_calcified_pineal_is_one_bright_spot_at_the_midline(plain):
    change = changed(plain, Pineal((((1.0, -28.0, 0.0), 2.0, 200.0),)))
    z, y, x = (centre.mean() for centre in np.nonzero(change > 50))
    at = plain.landmarks

    assert 5 < (change > 50).sum() < 200
    assert abs(at.x.ravel()[round(x)]) < 4
    assert at.z.ravel()[round(z)] == pytest.approx(1, abs=4)
    assert at.y.ravel()[round(y)] == pytest.approx(-28, abs=4)


def test_a_dense_falx_is_bright_along_the_midline_only(plain):
    change = changed(plain, DenseDura(25.0, 12.0, 0.5))
    at = plain.landmarks
    away = (np.abs(at.falx) > 4) & (np.abs(at.tentorium) > 4)

    assert change.max() > 12
    assert np.abs(change[away]).max() < 0.5


def test_white_matter_disease_darkens_beside_the_ventricles(plain):
    change = changed(plain, WhiteMatterDisease(8.0, 7.0))
    at = plain.landmarks

    assert change.max() <= 0.01
    assert change[(at.from_ventricle < 4) & (at.white > 0.95) & (at.z > 5)].mean() < -2
    assert np.abs(change[at.from_ventricle > 28]).max() < 0.3


def test_an_old_infarct_is_nearly_as_dark_as_csf_and_keeps_to_its_side(plain):
    change = changed(plain, OldInfarct(Territory("middle cerebral, upper", 1.0, 0.8), 0.9, 0.0))

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
    Holder.drawn(np.random.default_rng(0)).lay(hu, geometry)
    rows = np.nonzero(hu != before)[1]

    np.testing.assert_array_equal(hu[before == 40], 40)
    assert rows.size > 100
    assert rows.mean() > 75
