# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from benchmarks.accuracy.sample import SEEDS, development
from simulator import recipes
from simulator.manifest import read, shipped_manifests
from simulator.recipes import HELD_OUT


def test_no_seed_of_the_development_sample_has_another_use() -> None:
    seeds = {entry.seed for entry in development(1000)}
    assert seeds <= set(SEEDS)
    for name in shipped_manifests():
        assert not seeds & {entry.seed for entry in read(name)}
    for other in (recipes.TRAINING_SEEDS, recipes.VALIDATION_SEEDS, recipes.FIGURE_SEEDS, recipes.AUDIT_SEEDS):
        assert not seeds & set(other)


def test_any_length_is_the_beginning_of_a_longer_one_and_no_study_comes_twice() -> None:
    assert development(37) == development(100)[:37]
    assert len({entry.name for entry in development(1000)}) == 1000


def test_half_of_it_is_realistic_and_every_held_out_mechanism_is_there() -> None:
    populations = [entry.population for entry in development(100)]
    assert populations.count("realistic") == 50
    assert all(populations.count(name) == 10 for name in HELD_OUT)


def test_a_sample_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to 1000 studies, not 0"):
        development(0)
