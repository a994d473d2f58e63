# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest

from benchmarks.accuracy.conditions import (
    CONDITIONS,
    ROBUSTNESS,
    conditions_named,
    down_to_teeth,
    turn,
    with_coil,
    with_crowns,
    with_dose,
    with_slices,
    with_tilt,
    without_fillings,
)
from simulator.bleeding import simulate_head
from simulator.geometry import draw_geometry
from simulator.population import REALISTIC
from simulator.scanner import Scanner

GEOMETRY = draw_geometry(6_500_000, REALISTIC)


@pytest.mark.parametrize("thickness", [0.6, 1.25, 2.5, 5.0])
def test_other_slices_cover_the_same_range_without_gaps(thickness: float) -> None:
    found = with_slices(thickness)(GEOMETRY)
    np.testing.assert_allclose(found.spans_mm, thickness)
    whole, before = found.spans_mm.sum(), GEOMETRY.spans_mm.sum()
    assert before - thickness < whole <= before + 1e-6
    assert np.mean(found.positions_mm) == pytest.approx(np.mean(GEOMETRY.positions_mm), abs=1e-6)


def test_turned_planes_are_planes_turned_by_the_angle() -> None:
    for about, axis in (("z", 0), ("y", 2)):
        found = turn(10.0, about=about)(with_tilt(0.0)(GEOMETRY))
        axes = found.axes
        np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-9)
        assert axes[axis] @ with_tilt(0.0)(GEOMETRY).axes[axis] == pytest.approx(np.cos(np.deg2rad(10)))


def test_a_quarter_of_the_dose_doubles_the_noise() -> None:
    found = with_dose(0.25)(Scanner(noise_hu=4.0, streaks=1.0))
    assert (found.noise_hu, found.streaks) == (8.0, 2.0)


def test_a_coil_is_metal_in_the_head_and_touches_nothing_else() -> None:
    head = simulate_head(6_500_000, "none", population=REALISTIC)
    coil = with_coil(head)
    changed = coil.hu != head.hu
    assert coil.hu.max() > 3000
    assert 200 < np.count_nonzero(changed) < 500
    assert coil.blood == head.blood


def test_a_scan_down_to_the_teeth_shows_crowns_and_without_metal_none() -> None:
    head = simulate_head(6_500_000, "none", population=REALISTIC)
    longer = down_to_teeth(GEOMETRY)
    more = longer.shape[0] - GEOMETRY.shape[0]
    assert more > 0
    assert longer.positions_mm[more:] == GEOMETRY.positions_mm
    np.testing.assert_allclose(np.diff(longer.positions_mm), np.diff(GEOMETRY.positions_mm)[0])
    assert down_to_teeth(longer) == longer
    low = longer.part(0, more)
    crowned, bare = with_crowns(head).noise_free(low), without_fillings(head).noise_free(low)
    metal = crowned > 4000
    assert np.count_nonzero(metal.any(axis=(1, 2))) >= 2
    assert metal[:, :, : GEOMETRY.columns // 2].any()
    assert metal[:, :, GEOMETRY.columns // 2 :].any()
    assert bare.max() < 3000
    above = GEOMETRY.part(GEOMETRY.shape[0] // 2, 4)
    np.testing.assert_array_equal(with_crowns(head).noise_free(above), without_fillings(head).noise_free(above))


def test_conditions_are_asked_for_by_name() -> None:
    assert conditions_named("") == ()
    assert conditions_named("all") == ROBUSTNESS
    assert [one.name for one in conditions_named("metal, tilt 15°,metal")] == ["metal", "tilt 15°"]
    assert set(CONDITIONS) > {one.name for one in ROBUSTNESS}
    with pytest.raises(ValueError, match="there is no condition noise 7; there are all, noise 6 HU"):
        conditions_named("noise 7")
