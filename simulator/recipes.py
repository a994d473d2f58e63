# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""How the project's cohorts are composed: who is drawn from what, which bleeds, which seeds.

Each recipe gives the same manifest every time; `manifests/` keeps those that figures are reported on, and a test holds
the two together (`python -m simulator.recipes` writes them anew). Seeds of the cohorts never meet, and
training and validation name no held-out mechanism. Within a cohort seeds are dealt at random: no number in a header
tells who bleeds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from appliance.reading.contract import SizeClass
from simulator.diagnosis import Diagnosis
from simulator.fields import stream
from simulator.manifest import SHIPPED, Entry, write
from simulator.population import REALISTIC, TRAINING, Population
from simulator.sizes import (
    CROSS_VALIDATION_COHORT,
    TEST_COHORT,
    Table,
    spread_shares,
    volume_ml,
)
from simulator.vendors import vendor_of

TRAINING_SEEDS: Final = range(1_000_000, 2_000_000)
VALIDATION_SEEDS: Final = range(2_000_000, 3_000_000)
INDEPENDENT_SEEDS: Final = range(7_000_000, 7_100_000)
ENRICHED_SEEDS: Final = range(7_100_000, 7_200_000)
FIGURE_SEEDS: Final = range(7_200_000, 8_000_000)
"""Of cohorts drawn for figures beside the shipped ones: no head of them was ever learnt from."""
HELD_OUT_SEEDS: Final = range(7_300_000, 7_350_000)
"""Among them, of heads on disk that networks are compared on: an equal share for each of `HELD_OUT`."""
AUDIT_SEEDS: Final = range(8_000_000, 9_000_000)

HELD_OUT: Final = ("new anatomy", "new kernels", "new mimics", "new bleeds", "all new")
"""The populations with a mechanism that training never draws."""
PARTS: Final = (REALISTIC.name, *HELD_OUT)
"""The equal parts of the independent cohorts: heads like training's on realistic scanners, then each mechanism."""

BLEEDING: Final = (Diagnosis.IPH, Diagnosis.EDH_SDH, Diagnosis.SAH)
_BLOCK: Final = (*BLEEDING, *BLEEDING, Diagnosis.NONE, Diagnosis.NONE)  # and two matched negatives: ten studies
_TWINS: Final = 2


def first_seed_of(population: Population) -> int:
    """Return the seed that a cohort of a population is drawn from on: training's own are left to training.

    Whatever a population adds, the seed draws the same shape, build and mimics in all of them: on training's seeds a
    held-out mechanism would be tested in heads that the network has learnt from.
    """
    return (TRAINING_SEEDS if population == TRAINING else FIGURE_SEEDS).start


def held_out_seeds(population: str) -> range:
    """Return the seeds of a held-out population's heads on disk."""
    share = len(HELD_OUT_SEEDS) // len(HELD_OUT)
    first = HELD_OUT_SEEDS.start + share * HELD_OUT.index(population)
    return range(first, first + share)


def draw_entries(studies: int, first_seed: int, population: Population = TRAINING) -> tuple[Entry, ...]:
    """Return a cohort of any length: six of ten studies bleed, two of each type, as much as the population has it.

    Two of the four without blood are matched negatives: the heads of two that bleed. Eight seeds make ten studies.
    """
    entries: list[Entry] = []
    for first in range(first_seed, first_seed + len(_BLOCK) * studies, len(_BLOCK)):
        if len(entries) >= studies:
            break
        rng = stream(first, "cohort")
        kinds = rng.permutation(len(_BLOCK))
        block = [Entry(first + i, _BLOCK[kind], population=population.name) for i, kind in enumerate(kinds)]
        bleeding = [entry for entry in block if entry.diagnosis is not Diagnosis.NONE]
        block += [entry.without_blood for entry in bleeding[:_TWINS]]
        entries += (block[i] for i in rng.permutation(len(block)))
    return tuple(entries[:studies])


def training(studies: int) -> tuple[Entry, ...]:
    """Return the first studies of the endless training cohort."""
    if studies * len(_BLOCK) > len(TRAINING_SEEDS) * (len(_BLOCK) + _TWINS):
        raise ValueError(f"{studies} studies take more than the {len(TRAINING_SEEDS)} seeds of training")
    return draw_entries(studies, TRAINING_SEEDS.start)


def validation() -> tuple[Entry, ...]:
    """Return the cohort that settings are chosen on: 300 without blood, 60 of each type, familiar heads.

    Scanners are realistic; sizes are spread as in the paper's cross-validation cohort.
    """
    table = {diagnosis: _scale(CROSS_VALIDATION_COHORT[diagnosis], 60) for diagnosis in BLEEDING}
    return _deal("validation", VALIDATION_SEEDS.start, table, 300, (REALISTIC.name,))


def independent() -> tuple[Entry, ...]:
    """Return the cohort that the paper's test cohort is compared with: 682 studies, 82 positives as in its Table 1.

    Positives of each type and negatives are dealt evenly to the parts.
    """
    return _deal("independent", INDEPENDENT_SEEDS.start, TEST_COHORT, 682 - 82, PARTS)


def enriched_cohort() -> tuple[Entry, ...]:
    """Return the cohort for figures by type, size and mechanism: at least 100 of each type, evenly from every part.

    Three tenths of each type are large, medium and small, a tenth is punctate: the paper found its network weakest
    there and had eight of them. Every positive has its matched negative, the same head without the blood.
    """
    each = -(-100 // len(PARTS))
    sizes = {SizeClass.LARGE: 3 * each // 10, SizeClass.MEDIUM: 3 * each // 10, SizeClass.PUNCTATE: round(each / 10)}
    sizes[SizeClass.SMALL] = each - sum(sizes.values())
    table = {diagnosis: {size: count * len(PARTS) for size, count in sizes.items()} for diagnosis in BLEEDING}
    positives = _deal("enriched", ENRICHED_SEEDS.start, table, 0, PARTS)
    both = [entry for positive in positives for entry in (positive, positive.without_blood)]
    order = stream(ENRICHED_SEEDS.start, "order").permutation(len(both))
    return tuple(both[i] for i in order)


def pairs(count: int, population: Population | None = None) -> tuple[Entry, ...]:
    """Return the positives of the audit, types in turn; each is compared with its matched negative.

    Without a population training's and the realistic one take turns: what figures rest on and what is learnt from.
    """
    populations = (TRAINING, REALISTIC) if population is None else (population,)
    return tuple(
        Entry(
            AUDIT_SEEDS.start + i,
            BLEEDING[i % len(BLEEDING)],
            population=populations[i // len(BLEEDING) % len(populations)].name,
        )
        for i in range(count)
    )


SHIPPED_RECIPES: Final[dict[str, Callable[[], tuple[Entry, ...]]]] = {
    "validation": validation,
    "independent": independent,
    "enriched": enriched_cohort,
}
"""What each shipped manifest was written from."""


def _scale(counts: dict[SizeClass, int], total: int) -> dict[SizeClass, int]:
    """Return counts in the same proportions that sum up to `total`, at least one of each that occurs."""
    whole = sum(counts.values())
    scaled = {size: max(1, round(count * total / whole)) for size, count in counts.items() if count}
    most = max(scaled, key=lambda size: scaled[size])
    scaled[most] += total - sum(scaled.values())
    return scaled


def _deal(
    purpose: str, first_seed: int, table: Table, negatives: int, populations: tuple[str, ...]
) -> tuple[Entry, ...]:
    """Return a shuffled cohort: the positives of `table` and the negatives, dealt evenly to the populations.

    Positives have their share of every vendor's seeds: in some hundreds of studies chance alone would let a header tell
    them by the vendor.
    """
    rng = stream(first_seed, purpose)
    positives: list[tuple[Diagnosis, float]] = []
    for size in SizeClass:
        wanted = [diagnosis for diagnosis in BLEEDING for _ in range(table[diagnosis].get(size, 0))]
        shares = spread_shares(len(wanted), rng)
        positives += [
            (diagnosis, volume_ml(diagnosis, size, float(share)))
            for diagnosis, share in zip(wanted, shares, strict=True)
        ]
    # By type, so that each population gets its share of every type; sizes follow one another within a type.
    positives.sort(key=lambda case: BLEEDING.index(case[0]))
    whole = len(positives) + negatives
    seeds = sorted((first_seed + rng.permutation(whole)).tolist(), key=vendor_of)  # at random within a vendor
    taken = np.floor((np.arange(len(positives)) + rng.random()) * whole / len(positives)).astype(int)
    bleeding = rng.permutation([seeds[i] for i in taken])
    entries = [
        Entry(int(seed), diagnosis, volume, populations[i % len(populations)])
        for i, ((diagnosis, volume), seed) in enumerate(zip(positives, bleeding, strict=True))
    ]
    healthy = rng.permutation(sorted(set(seeds) - set(bleeding.tolist())))
    entries += [
        Entry(int(seed), Diagnosis.NONE, population=populations[i % len(populations)]) for i, seed in enumerate(healthy)
    ]
    return tuple(entries[i] for i in rng.permutation(len(entries)))


if __name__ == "__main__":
    for name, recipe in SHIPPED_RECIPES.items():
        write(recipe(), SHIPPED / f"{name}.csv")
