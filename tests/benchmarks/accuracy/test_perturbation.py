# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""A perturbation of a slab of tissue with a spot, read by a stand-in that is sure of a spot by its contrast."""

from __future__ import annotations

import numpy as np
import pytest

from appliance.reading.contract import chunks
from appliance.reading.detections import Box, Detection
from benchmarks.accuracy.perturbation import Perturbed, perturb

SPOT = (slice(200, 230), slice(300, 330))


class Contrast:
    """Is as sure of the spot as it is brighter than what lies beside it: 0.5 at 20 HU, on slice 9 alone."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, hu: np.ndarray, number: int) -> list[Detection]:
        self.calls += 1
        if 9 not in chunks(len(hu))[number][2:-2]:
            return []
        beside = hu[9, 200:230, 240:290].mean()
        score = float(1 / (1 + np.exp(-0.2 * (hu[9][SPOT].mean() - beside - 20))))
        return [Detection(9, Box(200, 300, 230, 330), (score, 0.0, 0.0), np.ones((4, 4), np.float32))]


def study(contrast_hu: int) -> np.ndarray:
    hu = np.full((24, 512, 512), 30, np.int16)
    hu[:, :100] = -1000
    hu[8:11, *SPOT] += contrast_hu
    return hu


def changed(contrast_hu: int, calls: int = 60, seed: int = 1) -> tuple[Perturbed, Contrast]:
    network = Contrast()
    return perturb(network, study(contrast_hu), 0.5, 4, calls, np.random.default_rng(seed)), network


@pytest.mark.parametrize(("contrast_hu", "turned"), [(23, True), (17, True), (60, False), (-30, False)])
def test_only_an_answer_near_its_threshold_can_be_turned(contrast_hu: int, turned: bool) -> None:
    found, network = changed(contrast_hu)
    assert ((found.before >= 0.5) != (found.after >= 0.5)) == turned
    assert found.calls == network.calls
    assert found.calls < 60 if turned else 60 <= found.calls <= 62
    again = Contrast()
    assert found.after == max(one.score for number in range(2) for one in again(found.hu, number))


def test_no_voxel_changes_by_more_than_the_bound_and_none_in_air() -> None:
    found, _ = changed(60)
    change = found.hu.astype(int) - study(60)
    assert np.abs(change).max() == 4
    assert not change[:, :100].any()


def test_a_try_that_does_not_help_is_not_kept_and_the_same_seed_tries_the_same() -> None:
    found, _ = changed(60)
    assert found.after <= found.first <= found.before
    np.testing.assert_array_equal(found.hu, changed(60)[0].hu)
    assert (changed(60, seed=2)[0].hu != found.hu).any()


def test_a_study_in_which_nothing_is_found_is_searched_everywhere() -> None:
    found = perturb(lambda hu, number: [], study(0), 0.5, 4, 10, np.random.default_rng(1))
    assert (found.before, found.after) == (0.0, 0.0)
    assert found.calls >= 10
