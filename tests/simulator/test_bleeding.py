# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One seed, one head: several bleeds in it, their volume together, and the same head without any."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from appliance.reading.contract import HemorrhageType
from simulator import bleeding
from simulator.bleeding import UnlabelledBleedError, simulate_head
from simulator.geometry import ScanGeometry
from simulator.labels import volumes_ml
from simulator.population import CLEAR, TRAINING

SEED = 5_000_001  # contusions, with subarachnoid blood
GEOMETRY = ScanGeometry(
    rows=160,
    columns=160,
    pixel_spacing_mm=(1.5, 1.5),
    positions_mm=tuple(float(p) for p in np.arange(-55, 90, 8)),
    thickness_mm=(5.0,) * 19,
    centre_mm=(0.0, 15.0, 0.0),
)


@pytest.fixture(scope="module")
def head():
    return simulate_head(SEED, "iph", volume_ml=20.0, geometry=GEOMETRY)


def test_companions_are_labelled_and_the_type_asked_for_has_its_volume(head):
    volumes = volumes_ml(head.labels(GEOMETRY), GEOMETRY)

    assert {blood.type for blood in head.blood} == {HemorrhageType.IPH, HemorrhageType.SAH}
    assert volumes[HemorrhageType.IPH] == pytest.approx(20, rel=0.12)
    assert volumes[HemorrhageType.SAH] > 0.2


def test_bleeds_together_fill_no_voxel_more_than_once(head):
    together = np.zeros(head.anatomy.atlas.shape, np.float32)
    for blood in head.blood:
        box = tuple(slice(low, low + n) for low, n in zip(blood.low, blood.fraction.shape, strict=True))
        together[box] += blood.fraction

    assert together.max() <= 1 + 1e-4


def test_the_head_without_a_finding_is_the_same_but_for_the_brain(head):
    without = simulate_head(SEED, "none", geometry=GEOMETRY)
    outside = without.anatomy.atlas.cavity_distance > 0.5

    assert without.blood == ()
    assert without.anatomy.mimics == head.anatomy.mimics
    assert without.anatomy.build == head.anatomy.build
    np.testing.assert_array_equal(without.hu[outside], head.hu[outside])


def test_a_population_without_companions_has_one_bleed():
    alone = simulate_head(
        SEED, "iph", volume_ml=20.0, geometry=GEOMETRY, population=replace(TRAINING, companions=False)
    )

    assert [blood.type for blood in alone.blood] == [HemorrhageType.IPH]


def test_clear_heads_have_no_mimic_and_one_bleed():
    clear = simulate_head(SEED, "iph", volume_ml=20.0, geometry=GEOMETRY, population=CLEAR)

    assert clear.anatomy.mimics.names == ()
    assert len(clear.blood) == 1


def test_a_punctate_bleed_is_found_on_the_planes_that_are_asked_for():
    fine = replace(
        GEOMETRY,
        rows=512,
        columns=512,
        pixel_spacing_mm=(0.47, 0.47),
        positions_mm=tuple(5.0 * k for k in range(-11, 19)),
        thickness_mm=(5.0,) * 30,
    )
    labels = simulate_head(SEED, "iph", volume_ml=0.008, geometry=fine).labels(fine)

    assert volumes_ml(labels, fine)[HemorrhageType.IPH] == pytest.approx(0.008, rel=0.5)


def test_a_bleed_that_no_slice_shows_is_an_error_that_names_the_seed(monkeypatch):
    monkeypatch.setattr(bleeding, "ATTEMPTS", 1)
    monkeypatch.setattr(bleeding, "FURTHER_ATTEMPTS", 1)
    above = replace(GEOMETRY, positions_mm=(300.0, 305.0), thickness_mm=(5.0, 5.0))

    with pytest.raises(UnlabelledBleedError, match=f"seed {SEED}: no voxel is labelled iph") as caught:
        simulate_head(SEED, "iph", volume_ml=2.0, geometry=above, population=CLEAR)
    assert pickle.loads(pickle.dumps(caught.value)).args == caught.value.args  # it comes from processes


def test_a_bleed_without_a_label_is_drawn_anew(monkeypatch):
    whole = bleeding._Search.head
    misses = iter([float("inf")])
    monkeypatch.setattr(bleeding._Search, "head", lambda search: (whole(search)[0], next(misses, 0.0)))
    alone = replace(TRAINING, companions=False)
    redrawn = simulate_head(SEED, "iph", volume_ml=20.0, geometry=GEOMETRY, population=alone)
    monkeypatch.setattr(bleeding._Search, "head", whole)
    first = simulate_head(SEED, "iph", volume_ml=20.0, geometry=GEOMETRY, population=alone)

    assert (redrawn.labels(GEOMETRY) == 1).any()
    assert (redrawn.labels(GEOMETRY) != first.labels(GEOMETRY)).any()
