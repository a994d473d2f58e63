# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Contrast agent brightens vessels, not blood that has left them."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.bleeding import coarser, simulate_head
from simulator.contrast import Phase, enhance
from simulator.geometry import draw_geometry
from simulator.head import SimulatedHead

SEED = 9_000_500


@pytest.fixture(scope="module")
def head() -> SimulatedHead:
    geometry = coarser(coarser(draw_geometry(SEED)))
    return simulate_head(SEED, "iph", volume_ml=30, geometry=geometry)


def test_vessels_are_as_bright_as_bone_marrow_in_the_arteries_phase_and_less_so_later(head: SimulatedHead) -> None:
    gains = {phase: enhance(head, phase).hu - head.hu for phase in Phase}
    assert 180 < gains[Phase.ARTERIAL].max() < 450
    assert 40 < gains[Phase.DELAYED].max() < 180
    for gain in gains.values():
        assert gain.min() > -0.001
        assert 0.2 < np.median(gain[gain > 0]) < 6  # brain takes up little


def test_a_hematoma_takes_up_no_contrast_agent(head: SimulatedHead) -> None:
    after = enhance(head, Phase.ARTERIAL)
    blood = head.blood[0]
    z, y, x = (slice(int(low), int(low) + n) for low, n in zip(blood.low, blood.fraction.shape, strict=True))
    full = blood.fraction > 0.95
    assert full.sum() > 300
    assert np.median((after.hu - head.hu)[z, y, x][full]) < 0.3


def test_bone_scalp_and_air_stay(head: SimulatedHead) -> None:
    outside = np.ones(head.hu.shape, bool)
    outside[head.anatomy.cavity_box] = head.anatomy.cavity == 0
    np.testing.assert_array_equal(enhance(head, Phase.DELAYED).hu[outside], head.hu[outside])
