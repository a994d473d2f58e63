# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The choice of a threshold: the one at which the worst validation group is read best.

A group is a population's studies with blood of one type beside all its studies without blood; how well it is read is
Youden's index. Of the thresholds that the best worst group shares, the middle on the log-odds scale is taken, since
scores crowd near 0 and 1. Specks have no say: to catch a bleed of some voxels, false alarms would have to be let
through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import SCORE_FLOOR, TYPES
from benchmarks.accuracy.log import cohort_of_log
from benchmarks.accuracy.record import Record
from simulator.manifest import Entry

FEWEST_NEGATIVES: Final = 300
FEWEST_OF_A_GROUP: Final = 10
LEAST_ML: Final = 0.25
"""Studies with less blood have no say."""
MOST: Final = 0.9999


@dataclass(frozen=True)
class Group:
    """A validation group at the chosen threshold."""

    name: str
    positives: int
    negatives: int
    sensitivity: float
    specificity: float


@dataclass(frozen=True)
class Choice:
    """A threshold with what chose it: the groups, worst first, and the seeds that may report no figure of it."""

    threshold: float
    model_sha256: str
    groups: tuple[Group, ...]
    seeds: tuple[int, ...]

    def check(self, entries: Iterable[Entry], model_sha256: str) -> None:
        """Refuse studies that chose the threshold, or another model.

        Raises
        ------
        ValueError
            If one of the studies chose it, or it was chosen for other weights.
        """
        if self.model_sha256 != model_sha256:
            raise ValueError(f"the threshold was chosen for the model {self.model_sha256}, not for {model_sha256}")
        shared = {entry.seed for entry in entries} & set(self.seeds)
        if shared:
            raise ValueError(
                f"{len(shared)} of the studies chose the threshold (seed {min(shared)} among them); report on others"
            )


def candidates(entries: Sequence[Entry]) -> None:
    """Refuse studies that may not choose a threshold.

    Raises
    ------
    ValueError
        If some are of a kept cohort, or fewer than `FEWEST_NEGATIVES` have no blood.
    """
    cohort = cohort_of_log(entries)
    if cohort is not None:
        raise ValueError(f"studies of the cohort {cohort} report figures and choose no threshold; take validation")
    negatives = sum(entry.diagnosis.type is None for entry in entries)
    if negatives < FEWEST_NEGATIVES:
        raise ValueError(f"a threshold is chosen on at least {FEWEST_NEGATIVES} studies without blood, not {negatives}")


def choose_threshold(records: Sequence[Record], model_sha256: str) -> Choice:
    """Return the threshold that these records choose.

    Raises
    ------
    ValueError
        If no group has `FEWEST_OF_A_GROUP` studies with blood and as many without.
    """
    groups: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    for population in dict.fromkeys(record.population for record in records):
        own = [record for record in records if record.population == population]
        quiet = np.array([record.score for record in own if not record.bleeds])
        for kind in TYPES:
            told = np.array([r.score for r in own if r.diagnosis == kind and r.blood[kind].true_ml >= LEAST_ML])
            if min(len(told), len(quiet)) >= FEWEST_OF_A_GROUP:
                groups[f"{population}, {kind.display}"] = (told, quiet)
    if not groups:
        raise ValueError(
            f"no group has {FEWEST_OF_A_GROUP} studies with at least {LEAST_ML} mL of one type and as many "
            "without blood"
        )
    seen = np.concatenate([values for both in groups.values() for values in both])
    cuts = np.unique(np.clip(np.concatenate([[SCORE_FLOOR], seen, [MOST]]), SCORE_FLOOR, MOST))
    odds = np.log(cuts / (1 - cuts))
    middles = 1 / (1 + np.exp(-(odds[1:] + odds[:-1]) / 2)) if len(cuts) > 1 else cuts
    youden = np.array(
        [[(told >= cut).mean() + (quiet < cut).mean() - 1 for cut in middles] for told, quiet in groups.values()]
    )
    worst = youden.min(axis=0)
    best = worst >= worst.max() - 1e-9
    first, last = _longest(best, odds)
    threshold = round(float(1 / (1 + np.exp(-(odds[first] + odds[last]) / 2))), 4)
    told_groups = [
        Group(name, len(t), len(q), float((t >= threshold).mean()), float((q < threshold).mean()))
        for name, (t, q) in groups.items()
    ]
    told_groups.sort(key=lambda group: group.sensitivity + group.specificity)
    return Choice(threshold, model_sha256, tuple(told_groups), tuple(sorted({record.seed for record in records})))


def _longest(best: NDArray[np.bool_], odds: NDArray[np.float64]) -> tuple[int, int]:
    """Return the ends, as indices into the cuts' odds [N + 1], of the longest run of best intervals [N]."""
    if len(odds) == 1:
        return 0, 0
    runs, start = [], None
    for i, one in enumerate([*best.tolist(), False]):
        if one and start is None:
            start = i
        elif not one and start is not None:
            runs.append((start, i))
            start = None
    return max(runs, key=lambda run: odds[run[1]] - odds[run[0]])


def write(choice: Choice, path: Path) -> None:
    """Write a choice that `read` gives back."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(choice), indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> Choice:
    """Return a choice that `write` wrote.

    Raises
    ------
    ValueError
        If the file holds none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        groups = tuple(Group(**group) for group in values.pop("groups"))
        return Choice(**values | {"groups": groups, "seeds": tuple(values["seeds"])})
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path} holds no threshold ({error}); `python -m benchmarks.accuracy threshold` makes one"
        ) from error
