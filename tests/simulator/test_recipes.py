# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The project's cohorts: composed as the paper's, apart from one another, and kept as they were composed."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis
from simulator.manifest import Entry, read, shipped_manifests
from simulator.population import (
    POPULATIONS,
    REALISTIC,
    TRAINING,
    BleedShapes,
    KernelFamily,
    MimicSet,
)
from simulator.recipes import (
    HELD_OUT,
    PARTS,
    SHIPPED_RECIPES,
    TRAINING_SEEDS,
    draw_entries,
    enriched_cohort,
    independent,
    pairs,
    training,
    validation,
)
from simulator.sizes import TEST_COHORT, TEST_QUARTILES_ML, volume_ml


def positives(entries: tuple[Entry, ...]) -> list[Entry]:
    return [entry for entry in entries if entry.diagnosis is not Diagnosis.NONE]


def volumes(entries: tuple[Entry, ...]) -> list[float]:
    return [entry.volume_ml for entry in entries if entry.volume_ml is not None]


@pytest.mark.parametrize("name", list(SHIPPED_RECIPES))
def test_a_shipped_manifest_is_what_its_recipe_gives(name: str) -> None:
    assert read(name) == SHIPPED_RECIPES[name]()


def test_every_shipped_manifest_has_a_recipe() -> None:
    assert set(shipped_manifests()) == set(SHIPPED_RECIPES)


def test_no_seed_is_in_two_cohorts() -> None:
    cohorts = [training(2000), pairs(200), *(recipe() for recipe in SHIPPED_RECIPES.values())]
    seeds = [{entry.seed for entry in entries} for entries in cohorts]
    assert all(not one & other for one, other in combinations(seeds, 2))
    assert seeds[0] <= set(TRAINING_SEEDS)
    assert all(not one & set(TRAINING_SEEDS) for one in seeds[1:])


def test_training_cannot_be_asked_for_more_studies_than_it_has_seeds() -> None:
    with pytest.raises(ValueError, match="more than the 1000000 seeds"):
        training(1_250_001)


def test_training_and_validation_name_no_mechanism_that_is_held_out() -> None:
    for entry in (*training(500), *validation()):
        population = POPULATIONS[entry.population]
        assert population.anatomy == TRAINING.anatomy
        assert population.kernels is KernelFamily.FAMILIAR
        assert population.mimics is MimicSet.FAMILIAR
        assert population.bleeds is BleedShapes.FAMILIAR


def test_every_held_out_part_has_a_mechanism_that_training_never_draws() -> None:
    for name in HELD_OUT:
        population = POPULATIONS[name]
        drawn_by = (population.anatomy, population.kernels, population.mimics, population.bleeds)
        assert drawn_by != (TRAINING.anatomy, TRAINING.kernels, TRAINING.mimics, TRAINING.bleeds)
        assert population.scanners is REALISTIC.scanners


def test_the_independent_cohort_has_the_counts_of_table_1() -> None:
    entries = independent()
    counts = Counter(
        (entry.diagnosis, SizeClass.of(entry.volume_ml)) for entry in entries if entry.volume_ml is not None
    )
    assert len(entries) == 682
    assert len(positives(entries)) == len(volumes(entries)) == 82
    assert counts == Counter(
        {(diagnosis, size): count for diagnosis, sizes in TEST_COHORT.items() for size, count in sizes.items() if count}
    )


def test_the_independent_cohorts_volumes_have_the_papers_quartiles() -> None:
    assert np.percentile(volumes(independent()), [25, 50, 75]) == pytest.approx(TEST_QUARTILES_ML, rel=0.05)


def test_every_part_of_the_independent_cohort_has_its_share_of_types_and_negatives() -> None:
    counts = Counter((entry.population, entry.diagnosis) for entry in independent())
    for diagnosis in Diagnosis:
        shares = [counts[name, diagnosis] for name in PARTS]
        assert min(shares) > 0
        assert max(shares) - min(shares) <= 1


def test_validation_has_at_least_300_negatives_and_each_type() -> None:
    counts = Counter(entry.diagnosis for entry in validation())
    assert counts[Diagnosis.NONE] >= 300
    assert min(counts.values()) >= 60


def test_the_enriched_cohort_has_at_least_100_of_a_type_and_a_matched_negative_of_each() -> None:
    entries = enriched_cohort()
    counts = Counter((entry.population, entry.diagnosis) for entry in entries)
    for diagnosis in (Diagnosis.IPH, Diagnosis.EDH_SDH, Diagnosis.SAH):
        assert all(counts[name, diagnosis] == counts[PARTS[0], diagnosis] for name in PARTS)
        assert sum(counts[name, diagnosis] for name in PARTS) >= 100
    twins = {entry.without_blood for entry in positives(entries)}
    assert twins == {entry for entry in entries if entry.diagnosis is Diagnosis.NONE}


@pytest.mark.parametrize("name", list(SHIPPED_RECIPES))
def test_neither_the_order_nor_the_seed_of_a_shipped_study_tells_whether_it_bleeds(name: str) -> None:
    entries = read(name)
    bleeds = np.array([entry.diagnosis is not Diagnosis.NONE for entry in entries])
    for place in (np.arange(len(entries)), np.array([entry.seed for entry in entries])):
        ahead = np.sign(place[bleeds][:, None] - place[~bleeds])
        above = (ahead.mean() + 1) / 2
        error = np.sqrt((len(entries) + 1) / (12 * bleeds.sum() * (~bleeds).sum()))  # of a Mann-Whitney share
        assert abs(above - 0.5) < 3 * error


def test_drawn_studies_are_the_same_however_many_are_asked_for() -> None:
    assert draw_entries(37, 5_000_000)[:12] == draw_entries(12, 5_000_000)


def test_of_ten_drawn_studies_six_bleed_and_two_are_matched_negatives() -> None:
    for first in range(0, 100, 10):
        ten = draw_entries(100, 5_000_000)[first : first + 10]
        counts = Counter(entry.diagnosis for entry in ten)
        assert counts == {Diagnosis.IPH: 2, Diagnosis.EDH_SDH: 2, Diagnosis.SAH: 2, Diagnosis.NONE: 4}
        assert len({entry.seed for entry in ten}) == 8


def test_every_volume_drawn_for_a_size_is_of_that_size_class() -> None:
    for diagnosis in (Diagnosis.IPH, Diagnosis.EDH_SDH, Diagnosis.SAH):
        for size in SizeClass:
            assert {SizeClass.of(volume_ml(diagnosis, size, share)) for share in (0.0, 0.5, 1.0)} == {size}
