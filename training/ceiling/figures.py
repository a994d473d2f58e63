# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The results of the passages of many studies: Dice by type, size and step, and how full the lists were."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from appliance.reading.contract import TYPES, HemorrhageType, SizeClass
from training.ceiling.passage import Passage, Stage

BARS: Final = {HemorrhageType.IPH: 0.97, HemorrhageType.EDH_SDH: 0.95, HemorrhageType.SAH: 0.92}


@dataclass(frozen=True)
class Spread:
    """The spread of a figure over studies or slices."""

    mean: float
    deviation: float
    lowest: float
    count: int

    @classmethod
    def of(cls, values: list[float] | NDArray[np.float64]) -> Spread:
        """Return the spread of values; all NaN of none."""
        if not len(values):
            return cls(float("nan"), float("nan"), float("nan"), 0)
        return cls(float(np.mean(values)), float(np.std(values)), float(np.min(values)), len(values))


@dataclass(frozen=True)
class Figures:
    """The result of one choice over many studies.

    Attributes
    ----------
    per_study, per_slice
        Dice of each type over the studies, and over the slices, that hold it; after the last step, as `by_size`.
    by_size
        Dice over studies by type and size class.
    by_step
        Mean Dice over studies by type if nothing were lost after a step.
    anchored, asked
        Of each size class: the share of pieces with a positive anchor, before and after the sampling.
    pieces
        Of each size class: how many pieces.
    most_pieces, most_listed
        The most pieces on a slice before the limit, and the most detections of a chunk before its limit.
    """

    per_study: dict[str, Spread]
    per_slice: dict[str, Spread]
    by_size: dict[str, dict[str, Spread]]
    by_step: dict[str, dict[str, float]]
    anchored: dict[str, float]
    asked: dict[str, float]
    pieces: dict[str, int]
    most_pieces: int
    most_listed: int

    @property
    def missed(self) -> list[str]:
        """Which figures miss their bars, in words; empty if none does."""
        short = [
            f"{kind.display}: mean Dice {self.per_study[kind].mean:.3f} is below {bar}"
            for kind, bar in BARS.items()
            if self.per_study[kind].mean < bar
        ]
        bare = [
            f"{size} bleeds: {1 - share:.2%} of their boxes have no positive anchor"
            for size, share in self.asked.items()
            if share < 1
        ]
        return short + bare


def figures(passages: list[Passage], voxel_ml: list[NDArray[np.float64]]) -> Figures:
    """Return the figures of passages and the mL of a voxel of each of their slices [Z]."""
    of_study: dict[tuple[str, str], list[float]] = {}
    of_slice: dict[str, list[float]] = {str(kind): [] for kind in TYPES}
    of_step: dict[tuple[str, str], list[float]] = {}
    counts: dict[str, NDArray[np.int64]] = {size: np.zeros(3, np.int64) for size in SizeClass}
    for passage, voxel in zip(passages, voxel_ml, strict=True):
        for kind in TYPES:
            row = kind.label - 1
            truth = passage.truth[row]
            if not truth.any():
                continue
            size = SizeClass.of(float(truth @ voxel))
            counts[size] += [passage.pieces[row], passage.anchored[row], passage.asked[row]]
            for step in Stage:
                shared, told = passage.shared[step][row], passage.told[step][row]
                of_step.setdefault((kind, step), []).append(2 * shared.sum() / (told.sum() + truth.sum()))
            of_study.setdefault((kind, size), []).append(of_step[kind, Stage.SURE][-1])
            there = truth > 0
            of_slice[kind].extend(2 * shared[there] / (told[there] + truth[there]))

    def share(size: str, column: int) -> float:
        return float(counts[size][column] / counts[size][0]) if counts[size][0] else float("nan")

    return Figures(
        per_study={str(kind): Spread.of(of_step.get((kind, Stage.SURE), [])) for kind in TYPES},
        per_slice={kind: Spread.of(values) for kind, values in of_slice.items()},
        by_size={str(kind): {size: Spread.of(of_study.get((kind, size), [])) for size in SizeClass} for kind in TYPES},
        by_step={
            str(kind): {str(step): Spread.of(of_step.get((kind, step), [])).mean for step in Stage} for kind in TYPES
        },
        anchored={size: share(size, 1) for size in SizeClass},
        asked={size: share(size, 2) for size in SizeClass},
        pieces={size: int(counts[size][0]) for size in SizeClass},
        most_pieces=max((one.most_pieces for one in passages), default=0),
        most_listed=max((one.most_listed for one in passages), default=0),
    )


def plain(value: Any) -> Any:
    """Return figures as plain values for JSON: NaN is None, floats to six places."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, float):
        return None if np.isnan(value) else round(value, 6)
    return value
