# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What looks like blood and is none: it is there when drawn, where it belongs, and at the stated rates."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from training.simulator.anatomy import Anatomy
from training.simulator.fields import stream
from training.simulator.geometry import ScanGeometry
from training.simulator.holder import Holder
from training.simulator.mimics import Mimics

NONE = Mimics(*(0.0,) * len(fields(Mimics)))


@pytest.fixture(scope="module")
def plain() -> Anatomy:
    return replace(Anatomy.drawn(31), mimics=NONE)


def changed(plain: Anatomy, **mimics: float) -> np.ndarray:
    other = replace(plain, mimics=replace(NONE, **mimics))
    return other.intracranial - plain.intracranial


def test_at_least_half_of_all_heads_carry_a_mimic():
    drawn = [Mimics.drawn(stream(seed, "mimics")) for seed in range(300)]

    assert np.mean([any(getattr(m, f.name) for f in fields(Mimics)) for m in drawn]) > 0.9
    assert np.mean([bool(m.pineal_hu or m.choroid_hu or m.dense_dura_hu) for m in drawn]) > 0.5


def test_a_calcified_pineal_is_one_bright_spot_at_the_midline(plain):
    change = changed(plain, pineal_hu=200.0)
    z, y, x = (centre.mean() for centre in np.nonzero(change > 50))
    at = plain.landmarks

    assert (change > 50).sum() < 200
    assert abs(at.x.ravel()[round(x)]) < 4
    assert at.z.ravel()[round(z)] == pytest.approx(2, abs=3)
    assert at.y.ravel()[round(y)] == pytest.approx(-27, abs=3)


def test_a_dense_falx_is_bright_along_the_midline_only(plain):
    change = changed(plain, dense_dura_hu=25.0)
    at = plain.landmarks
    away = (np.abs(at.falx) > 4) & (np.abs(at.tentorium) > 4)

    assert change.max() > 12
    assert np.abs(change[away]).max() < 0.5


def test_white_matter_disease_darkens_beside_the_ventricles(plain):
    change = changed(plain, white_matter_hu=8.0)

    assert change.max() <= 0.01
    assert (
        change[(plain.landmarks.from_ventricle < 4) & (plain.landmarks.white > 0.95) & (plain.landmarks.z > 5)].mean()
        < -2
    )
    assert np.abs(change[plain.landmarks.from_ventricle > 28]).max() < 0.3


def test_an_old_infarct_is_as_dark_as_csf(plain):
    change = changed(plain, infarct_mm=15.0)

    assert (change < -8).sum() > 500
    assert change.max() < 12


def test_beam_hardening_brightens_under_the_skull_and_darkens_between_the_petrous_bones(plain):
    hardened = replace(plain, mimics=replace(NONE, peripheral_hu=6.0, petrous_hu=10.0))
    box = plain.cavity_box
    change = (hardened.hu() - plain.hu())[box]
    at = plain.landmarks
    full = plain.cavity > 0.99

    assert change[full & (at.depth < 2) & (at.z > 20)].mean() > 3
    assert change[full & (np.abs(at.z + 36) < 3) & (np.abs(at.y + 28) < 3) & (np.abs(at.x) < 10)].mean() < -6


def test_a_swelling_lifts_the_skin_and_leaves_the_skull(plain):
    swollen = replace(plain, mimics=replace(NONE, swelling_mm=9.0))
    without, with_swelling = plain.hu(), swollen.hu()
    lifted = (without < -900) & (with_swelling > 20)

    assert 1000 < lifted.sum() < 60000
    np.testing.assert_array_equal(
        without[plain.atlas.cavity_distance < 0], with_swelling[plain.atlas.cavity_distance < 0]
    )


def test_the_holder_lies_behind_the_head_in_air_alone():
    geometry = ScanGeometry(128, 128, (2.2, 2.2), (0.0, 5.0), (5.0, 5.0), centre_mm=(0.0, 15.0, 0.0))
    hu = np.full(geometry.shape, -1000, np.float32)
    hu[:, 30:120, 40:90] = 40
    before = hu.copy()
    Holder.drawn(stream(0, "holder")).lay(hu, geometry)
    rows = np.nonzero(hu != before)[1]

    np.testing.assert_array_equal(hu[before == 40], 40)
    assert rows.size > 100
    assert rows.mean() > 75
