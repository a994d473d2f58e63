# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Endless diversity: the pool of heads beside a long run, to which new ones are added while the oldest are dropped.

A head is in a subfolder named after the simulator that made it, which also states so itself (`heads.claim_for_heads`):
a pool may hold heads of several simulators, and the older ones leave it first, because seeds rise. Heads to validate on
are kept apart and are all of one simulator.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulator.fields import stream
from simulator.population import CLEAR, REALISTIC, TRAINING, Population
from simulator.recipes import TRAINING_SEEDS, VALIDATION_SEEDS
from training.heads import MADE_WITH, Head, claim_for_heads, find_heads, make_one, own_revision
from training.mimic_labels import make_with_mimics
from training.rare_mimics import next_taken

log = logging.getLogger(__name__)

FIRST_SEED: Final = TRAINING_SEEDS.start + 100_000
"""Of a pool; those below are of the shorter runs."""
MADE: Final = "made.jsonl"
"""In a pool's folder: a line for each head that was ever in it."""
SHARES: Final = ((0, (0.4, 0.6, 0.0)), (35_000, (0.1, 0.4, 0.5)))
"""The shares of new heads that are clear, realistic and of the training population, by step of the run.

Bleeds of the first two are as large as those of the paper's cohort: of 48 heads with IPH in a pool of such heads five
held less than 5 mL and one was punctate. The training population draws nearly half of its bleeds below 5 mL.
"""
POPULATIONS: Final = (CLEAR, REALISTIC, TRAINING)
LEARN_FROM: Final = 3
"""Heads to learn from for each head to validate on, while there are still some of those to make."""


@dataclass(frozen=True)
class Sizes:
    """How many heads lie beside a run.

    Attributes
    ----------
    first: heads before any are made to validate on: the run cannot start without.
    pool: heads to learn from at a time.
    validation: heads to validate on.
    rest: once there are that many, the maker pauses for this many times as long as it worked: the run needs the
        processor more.
    """

    first: int = 20
    pool: int = 240
    validation: int = 80
    rest: float = 5.0


def population_of(seed: int, step: int) -> Population:
    """Return the population that a seed's head is drawn from when the run has reached a step."""
    shares = max(entry for entry in SHARES if entry[0] <= step)[1]
    drawn = stream(seed, "population of the pool").choice(len(POPULATIONS), p=shares)
    return POPULATIONS[int(drawn)]


class Pool:
    """The heads to learn from in one folder, a subfolder a simulator."""

    def __init__(self, folder: Path):
        self.folder = folder

    def heads(self) -> list[Head]:
        """Return the heads, oldest first."""
        return sorted(find_heads(self.folder), key=lambda head: head.seed)

    def next_seed(self) -> int:
        """Return the seed after the newest head's."""
        return max([FIRST_SEED - 1, *(head.seed for head in self.heads())]) + 1

    def add(self, seed: int, population: Population) -> None:
        """Make a seed's head with this simulator, and write down that it was made."""
        folder = self.folder / own_revision()
        claim_for_heads(folder)
        make_with_mimics(folder, seed, population)
        line = {"seed": seed, "simulator": own_revision(), "population": population.name, "time": round(time.time())}
        with (self.folder / MADE).open("a") as file:
            file.write(json.dumps(line) + "\n")

    def retire(self, most: int) -> None:
        """Remove the oldest heads until `most` are left, then the remains of killed makers, and empty folders."""
        heads = self.heads()
        for head in heads[: max(0, len(heads) - most)]:
            # Its `.json` first: without it there is no head, and a process that has the head open keeps its arrays.
            head.folder.joinpath(f"{head.name}.json").unlink(missing_ok=True)
            for path in head.folder.glob(f"{head.name}.*"):
                path.unlink()
        for folder in [path for path in self.folder.glob("*") if path.is_dir() and path.name != own_revision()]:
            if not find_heads(folder):
                for path in folder.glob("*"):
                    path.unlink()
                folder.rmdir()


def validation_heads(folder: Path) -> list[Head]:
    """Return the heads in `folder`, or in the subfolder of it that was begun last, whose heads are of one simulator."""
    begun = sorted(folder.glob(f"*/{MADE_WITH}"), key=lambda path: path.stat().st_mtime)
    return find_heads(begun[-1].parent if begun else folder)


def make_without_end(
    pool: Pool, validation: Path, sizes: Sizes, step: Callable[[], int], pause: Callable[[float], None] = time.sleep
) -> Iterator[str]:
    """Make heads forever, one at a time, and yield the name of each one's folder.

    First some to learn from; then each head to validate on is followed by `LEARN_FROM` to learn from, so that the pool
    grows while validation heads are made; then the rest of the pool. From then on each new head replaces the oldest. A
    seed whose head cannot be made is skipped, as are those that training does not take (`rare_mimics`). `step()` is the
    run's step.
    """
    folder = validation / own_revision()
    judged_on = iter(range(VALIDATION_SEEDS.start, VALIDATION_SEEDS.start + sizes.validation))
    seed = next_taken(pool.next_seed())
    first = max(0, sizes.first - len(pool.heads()))
    learnt = validated = 0
    while True:
        began = time.monotonic()
        to_validate = learnt >= first and (learnt - first) // LEARN_FROM >= validated
        wanted = next(judged_on, None) if to_validate else None
        try:
            if wanted is None:
                pool.add(seed, population_of(seed, step()))
            elif wanted not in {head.seed for head in find_heads(folder)}:
                claim_for_heads(folder)
                make_one(folder, wanted, REALISTIC)
        except Exception:  # one head in thousands cannot be drawn, which is no reason to end
            log.exception("the head of seed %d cannot be made", seed if wanted is None else wanted)
        if wanted is None:
            seed, learnt = next_taken(seed + 1), learnt + 1
            pool.retire(sizes.pool)
            yield pool.folder.name
            if len(pool.heads()) >= sizes.pool:
                pause(sizes.rest * (time.monotonic() - began))
        else:
            validated += 1
            yield validation.name
