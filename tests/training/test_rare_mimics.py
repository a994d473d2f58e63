# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Which seeds training takes."""

from __future__ import annotations

from simulator.mimics import KINDS, Mimics
from training.heads import DIAGNOSIS_OF_SEED
from training.pool import FIRST_SEED
from training.rare_mimics import RARE, is_taken, next_taken

SEEDS = range(FIRST_SEED, FIRST_SEED + 1500)


def has_rare(seed: int) -> bool:
    return not RARE.isdisjoint(Mimics.draw(seed).names)


def test_every_head_with_a_rare_mimic_is_taken_and_two_in_five_of_the_others() -> None:
    taken = {seed for seed in SEEDS if is_taken(seed)}
    rare = {seed for seed in SEEDS if has_rare(seed)}
    assert rare <= taken
    assert 0.35 < len(taken - rare) / len(set(SEEDS) - rare) < 0.45
    # More than twice as often as they are drawn.
    assert len(rare) / len(taken) > 2 * len(rare) / len(SEEDS) * 0.9


def test_a_rare_mimic_says_nothing_about_blood() -> None:
    taken = [seed for seed in SEEDS if is_taken(seed)]
    shares = []
    for bleeds in (False, True):
        heads = [seed for seed in taken if (DIAGNOSIS_OF_SEED[seed % 10] != "none") == bleeds]
        shares.append(sum(map(has_rare, heads)) / len(heads))
    assert abs(shares[0] - shares[1]) < 0.08


def test_rare_mimics_are_among_those_that_training_may_draw() -> None:
    assert set(KINDS) >= RARE


def test_the_next_taken_seed_is_the_first_that_is_taken_from_there_on() -> None:
    for seed in SEEDS[:40]:
        found = next_taken(seed)
        assert is_taken(found)
        assert not any(is_taken(one) for one in range(seed, found))
