# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The development sample: studies to try the report on while weights still change, so that the cohorts stay unread."""

from __future__ import annotations

from itertools import islice
from typing import Final

from simulator.manifest import Entry
from simulator.population import POPULATIONS, REALISTIC
from simulator.recipes import HELD_OUT, draw_entries

SEEDS: Final = range(6_100_000, 6_200_000)
"""Of no other use: neither training, validation, nor any cohort draws from them."""
DEVELOPMENT: Final = "development"
"""The sample's name where a manifest is asked for."""
_BLOCK: Final = 10
_BLOCK_SEEDS: Final = 8
_SHARE: Final = 10_000  # seeds of each population


def development(studies: int = 100) -> tuple[Entry, ...]:
    """Return the first studies of the sample: blocks of ten, realistic ones and the held-out populations by turns.

    Six of ten bleed, two of each type, with the sizes of the paper's test cohort; two of the other four are their
    matched negatives.
    """
    if not 1 <= studies <= 1000:
        raise ValueError(f"the development sample has 1 to 1000 studies, not {studies}")
    order = [name for held_out in HELD_OUT for name in (REALISTIC.name, held_out)]
    names = (REALISTIC.name, *HELD_OUT)
    taken = dict.fromkeys(names, 0)
    entries: list[Entry] = []
    while len(entries) < studies:
        name = order[len(entries) // _BLOCK % len(order)]
        first = SEEDS.start + _SHARE * names.index(name) + _BLOCK_SEEDS * taken[name]
        taken[name] += 1
        entries += draw_entries(_BLOCK, first, POPULATIONS[name])
    return tuple(islice(entries, studies))
