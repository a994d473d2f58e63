# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The processes that supply a burst: each makes its own heads and draws batches from them.

A process opens only its own heads, so that the places of blood and mimics in a head are searched for once. Each keeps
making heads between batches, so that the last minute's heads are not those of the first. Mimics have their names, and
what `reader` has found in the heads so far, missed lesions and false alarms, is shown again.
"""

from __future__ import annotations

import logging
import os
import queue
from dataclasses import dataclass
from multiprocessing.context import ForkContext
from pathlib import Path
from typing import Any, Final

import numpy as np

from simulator.fields import stream
from simulator.population import CLEAR, REALISTIC, TRAINING, Population
from simulator.recipes import TRAINING_SEEDS
from training.batches import Shape, batch
from training.burst.slots import Slots
from training.false_alarms import FalseAlarms
from training.heads import Head, find_heads
from training.mimic_labels import make_with_mimics
from training.missed_lesions import MissedLesions
from training.rare_mimics import next_taken

log = logging.getLogger(__name__)

FIRST_SEED: Final = TRAINING_SEEDS.start + 500_000
"""The first seed of the first process of burst 0."""
SEEDS_A_BURST: Final = 20_000
SEEDS_A_PROCESS: Final = 1_000
ENOUGH_READ: Final = 4
"""Heads without blood of a process that are read before it returns to false alarms: the few places in the first of them
would be shown hundreds of times. (`batches.ENOUGH_READ` sees to missed lesions.)"""
SHARES: Final = ((CLEAR, 0.15), (REALISTIC, 0.5), (TRAINING, 0.35))


@dataclass(frozen=True)
class Supply:
    """How a process divides its time.

    Attributes
    ----------
    first: heads before the first batch.
    batches_a_head: batches after which one more head is made.
    most: heads that a process makes when nobody waits for a batch.
    """

    first: int = 10
    batches_a_head: int = 25
    most: int = 40


def population_of(seed: int) -> Population:
    """Return the population that a seed's head is drawn from."""
    drawn = stream(seed, "population of a burst").choice(len(SHARES), p=[share for _, share in SHARES])
    return SHARES[int(drawn)][0]


def start_drawers(
    count: int, burst: int, folder: Path, found: Path, shape: Shape, slots: Slots, supply: Supply, context: ForkContext
) -> list[Any]:
    """Start `count` processes that fill `slots` with batches of a shape; they end with this process, or on request.

    Heads are kept in `folder`, and what was found in them is in `found`; the seeds of a burst (0, 1, ...) are its own.
    """
    drawers = []
    for number in range(count):
        seed = FIRST_SEED + burst * SEEDS_A_BURST + number * SEEDS_A_PROCESS
        drawer = context.Process(
            target=_draw,
            args=(folder / f"{number:02}", found, seed, shape, slots, supply),
            daemon=True,
            name=f"drawer {number}",
        )
        drawer.start()
        drawers.append(drawer)
    return drawers


def _draw(folder: Path, found: Path, seed: int, shape: Shape, slots: Slots, supply: Supply) -> None:
    """Make heads from `seed` on, and draw batches forever."""
    os.nice(19)  # the trainer, and its compilers, must never wait for a processor
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    heads: list[Head] = []
    since = 0

    def make_next() -> None:
        nonlocal seed
        seed = next_taken(seed)
        try:
            make_with_mimics(folder, seed, population_of(seed))
        except Exception:  # one head in thousands cannot be drawn, which is no reason to end
            log.exception("the head of seed %d cannot be made", seed)
        known = {head.seed for head in heads}
        heads.extend(head for head in find_heads(folder) if head.seed not in known)
        seed += 1

    while len(heads) < supply.first:
        make_next()
    while True:
        if since >= supply.batches_a_head:
            make_next()
            since = 0
        try:
            place = slots.free.get(block=len(heads) >= supply.most)
        except queue.Empty:
            make_next()
            continue
        alarms = FalseAlarms(found)
        enough = alarms.count_read(filter(alarms.concerns, heads)) >= ENOUGH_READ
        slots.fill(place, batch(heads, shape, rng, alarms if enough else None, MissedLesions(found)))
        since += 1
