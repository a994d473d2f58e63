# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Other parts of the body and phantoms: drawn in mm, the same each time, each with what it is known by."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.not_a_head import AIR_HU, NotAHead, noise_free


@pytest.mark.parametrize("kind", list(NotAHead))
def test_a_seed_gives_the_same_thing_each_time_and_another_seed_another(kind: NotAHead) -> None:
    first, pixel = noise_free(kind, 1, slices=2, matrix=128)
    again, _ = noise_free(kind, 1, slices=2, matrix=128)
    other, other_pixel = noise_free(kind, 2, slices=2, matrix=128)
    assert np.array_equal(first, again)
    assert pixel != other_pixel or not np.array_equal(first, other)
    assert first.shape == (2, 128, 128)
    body = (first > -900).mean()
    assert 0.03 < body < 0.95


def test_a_matrix_of_more_pixels_shows_the_same_thing_finer() -> None:
    coarse, coarse_mm = noise_free("abdomen", 3, slices=1, matrix=128)
    fine, fine_mm = noise_free("abdomen", 3, slices=1, matrix=256)
    assert coarse_mm == pytest.approx(2 * fine_mm)
    blocks = fine[0].reshape(128, 2, 128, 2).mean((1, 3))
    assert np.mean(np.abs(blocks - coarse[0]) < 30) > 0.9


@pytest.mark.parametrize(
    ("kind", "low", "high", "share"),
    [
        ("chest", -920, -700, 0.05),  # lungs
        ("abdomen", 40, 75, 0.05),  # liver
        ("legs", 800, 1000, 0.001),  # cortex of bone
        ("neck", 40, 70, 0.1),  # muscle
        ("water-phantom", -5, 5, 0.15),
    ],
)
def test_each_thing_holds_the_hu_it_is_known_by(kind: str, low: float, high: float, share: float) -> None:
    hu, _ = noise_free(kind, 5, slices=1, matrix=256)
    assert ((hu > low) & (hu < high)).mean() > share


def test_contrast_agent_brightens_vessels_and_nothing_but_what_it_flows_through() -> None:
    plain, _ = noise_free("chest", 4, slices=1, matrix=256)
    given, _ = noise_free("chest", 4, slices=1, matrix=256, agent_hu=200)
    rise = given - plain
    assert set(np.unique(rise)) == {0.0, 200.0}
    assert np.all(plain[rise > 0] == 45)


def test_around_it_there_is_air() -> None:
    hu, _ = noise_free("arm", 6, slices=1, matrix=128)
    assert hu[0, 0, 0] == hu[0, -1, -1] == AIR_HU


def test_a_thing_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="head"):
        noise_free("head", 1, slices=1)
