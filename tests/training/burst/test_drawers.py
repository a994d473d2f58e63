# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The processes that supply a burst with heads and batches."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from simulator.recipes import TRAINING_SEEDS
from training.batches import Shape
from training.burst.drawers import (
    FIRST_SEED,
    SEEDS_A_BURST,
    SEEDS_A_PROCESS,
    SHARES,
    Supply,
    population_of,
    start_drawers,
)
from training.burst.slots import Slots
from training.heads import find_heads
from training.rare_mimics import next_taken

pytestmark = pytest.mark.training


def test_a_drawer_makes_heads_of_its_own_and_fills_the_places_that_are_free(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.nice", lambda _: 0)  # beside other tests it would get no processor for minutes
    context = multiprocessing.get_context("fork")
    shape = Shape(slabs=2, targets=1, size=64)
    slots = Slots(shape, 2, context)
    (drawer,) = start_drawers(1, 3, tmp_path, tmp_path, shape, slots, Supply(first=2, most=2), context)
    try:
        places = {slots.filled.get(timeout=900) for _ in range(2)}
        assert places == {0, 1}
        for place in places:
            slices, _, boxes, kinds, asked, _, mimic_boxes, mimic_kinds = slots.batches[place]
            assert slices.shape == (10, 64, 64, 1)
            assert np.ptp(slices) > 0.0
            assert np.array_equal(kinds > 0, np.ptp(boxes, axis=-1) > 0)
            assert set(np.unique(asked)) <= {-1, 0, 1}
            assert np.array_equal(mimic_kinds > 0, np.ptp(mimic_boxes, axis=-1) > 0)
            assert mimic_kinds.min() == 0  # a drawer's own heads say what their mimics are
        slots.free.put(1)
        assert slots.filled.get(timeout=900) == 1
    finally:
        drawer.kill()
        drawer.join()
    first = next_taken(FIRST_SEED + 3 * SEEDS_A_BURST)
    assert sorted(head.seed for head in find_heads(tmp_path)) == [first, next_taken(first + 1)]


def test_bursts_and_their_processes_share_no_seed_and_all_are_of_training() -> None:
    assert SEEDS_A_BURST >= 16 * SEEDS_A_PROCESS
    assert range(FIRST_SEED, FIRST_SEED + 20 * SEEDS_A_BURST)[-1] in TRAINING_SEEDS


def test_populations_are_drawn_by_their_shares() -> None:
    drawn = [population_of(FIRST_SEED + i).name for i in range(2000)]
    for population, share in SHARES:
        assert abs(drawn.count(population.name) / 2000 - share) < 0.05
