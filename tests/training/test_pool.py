# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The pool of heads beside a long run."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from simulator.diagnosis import Diagnosis
from simulator.noise_free import NoiseFreeScan
from simulator.population import Population
from training import heads, pool
from training.heads import MADE_WITH, claim_for_heads, find_heads
from training.history import entries
from training.pool import FIRST_SEED, MADE, Pool, Sizes, make_without_end, population_of, validation_heads

SIZES = Sizes(first=2, pool=4, validation=3, rest=5.0)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Heads of air, and a way to say which simulator makes them."""

    def simulate(seed: int, diagnosis: str, *, population: Population, **_: object) -> NoiseFreeScan:
        if seed == FIRST_SEED + 1:
            raise RuntimeError("no room")
        air = np.full((1, 512, 512), -1000, np.int16)
        return NoiseFreeScan(
            seed,
            Diagnosis(diagnosis),
            air,
            air.astype(np.uint8),
            (0.5, 0.5),
            np.full(1, 5.0),
            population=population.name,
        )

    monkeypatch.setattr(heads, "simulate_noise_free", simulate)
    monkeypatch.setattr(pool, "make_with_mimics", heads.make_one)

    def simulator(name: str) -> None:
        monkeypatch.setattr(heads, "own_revision", lambda: name)
        monkeypatch.setattr(pool, "own_revision", lambda: name)

    monkeypatch.setattr(pool, "next_taken", lambda seed: seed)
    simulator("first")
    return simulator


def test_first_heads_to_learn_from_then_one_to_validate_on_for_every_three_then_each_replaces_the_oldest(
    tmp_path: Path, made: Callable[[str], None]
) -> None:
    pauses: list[float] = []
    of_run = Pool(tmp_path / "pool")
    maker = make_without_end(of_run, tmp_path / "validation", SIZES, lambda: 0, pauses.append)
    assert list(islice(maker, 5)) == ["pool", "pool", "validation", "pool", "pool"]
    assert not pauses  # one of the first could not be made, so the pool has only three of its four
    assert [head.seed - FIRST_SEED for head in of_run.heads()] == [0, 2, 3]
    assert list(islice(maker, 7)) == ["pool", "validation", "pool", "pool", "pool", "validation", "pool"]
    assert len(pauses) == 4  # the last pause comes when the next head is asked for
    assert [head.seed - FIRST_SEED for head in of_run.heads()] == [5, 6, 7, 8]
    assert [line["seed"] - FIRST_SEED for line in entries(of_run.folder / MADE)] == [0, 2, 3, 4, 5, 6, 7, 8]
    assert len(validation_heads(tmp_path / "validation")) == 3
    assert set(islice(maker, 8)) == {"pool"}


def test_a_pool_goes_on_with_another_simulator_and_drops_the_heads_of_the_older_one(
    tmp_path: Path, made: Callable[[str], None]
) -> None:
    of_run = Pool(tmp_path / "pool")
    validation = tmp_path / "validation"
    list(islice(make_without_end(of_run, validation, SIZES, lambda: 0, lambda _: None), 8))
    made("second")
    maker = make_without_end(of_run, validation, SIZES, lambda: 0, lambda _: None)
    list(islice(maker, 1 + 2))
    assert [(head.seed - FIRST_SEED, head.folder.name) for head in of_run.heads()] == [
        (4, "first"), (5, "first"), (6, "second"), (7, "second"),
    ]  # fmt: skip
    assert {head.folder.name for head in validation_heads(validation)} == {"second"}
    list(islice(maker, 3))
    assert [path.name for path in of_run.folder.glob("*") if path.is_dir()] == ["second"]


def test_a_head_that_is_given_up_stays_readable_for_whoever_has_it_open(
    tmp_path: Path, made: Callable[[str], None]
) -> None:
    of_run = Pool(tmp_path)
    list(islice(make_without_end(of_run, tmp_path / "validation", SIZES, lambda: 0, lambda _: None), 1))
    (head,) = of_run.heads()
    scan = head.scan
    of_run.retire(0)
    assert not list(tmp_path.rglob(f"{head.name}*"))
    assert (scan.hu == -1000).all()


def test_seeds_that_training_does_not_take_are_passed_over(
    tmp_path: Path, made: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "next_taken", lambda seed: seed + seed % 2)
    of_run = Pool(tmp_path / "pool")
    maker = make_without_end(of_run, tmp_path / "validation", SIZES, lambda: 0, lambda _: None)
    assert list(islice(maker, 5)) == ["pool", "pool", "validation", "pool", "pool"]
    assert [head.seed - FIRST_SEED for head in of_run.heads()] == [0, 2, 4, 6]


def test_a_validation_folder_that_is_no_longer_made_for_is_left_to_the_newest_simulator(tmp_path: Path) -> None:
    assert validation_heads(tmp_path / "none") == []
    claim_for_heads(tmp_path)
    (tmp_path / "none-5.json").touch()
    assert [head.seed for head in validation_heads(tmp_path)] == [5]  # a folder of heads itself
    assert (tmp_path / MADE_WITH).exists()
    assert find_heads(tmp_path) == validation_heads(tmp_path)


def test_clear_and_realistic_heads_come_first_and_the_training_population_later() -> None:
    early = [population_of(seed, 1000).name for seed in range(300)]
    late = [population_of(seed, 10**6).name for seed in range(300)]
    assert set(early) == {"clear", "realistic"}
    assert 0.4 < late.count("training") / 300 < 0.6
    assert late.count("clear") < 60 < early.count("clear")
