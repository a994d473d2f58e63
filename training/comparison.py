# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""Compares weights on the same heads, for each population: is the second network better, or was it chance?

Areas under the ROC curve of some dozens of heads are uncertain by some hundredths, but two networks that read the same
heads err together: their difference is more certain than either area. Intervals are percentiles of resamples of the
heads, separately with and without blood, the same for every network (the bootstrap of paired areas, Efron & Tibshirani
1993). They say nothing about another training of the same network, and have no width if no head is ranked wrongly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.markup import escape
from rich.table import Table

from appliance.reading.contract import TYPES
from training.reading import Outcome, Quality, judge, round_figure

RESAMPLES: Final = 2000
INTERVAL: Final = (2.5, 97.5)
EVERY: Final = "all"
"""The name of the rows over every population."""


@dataclass(frozen=True)
class Row:
    """One network on the heads of one population.

    Attributes
    ----------
    auc_interval
        95 % of the resampled areas lie within.
    ahead, ahead_interval
        By how much its area is larger than the first network's, on the same resamples; 0 of the first.
    """

    weights: str
    population: str
    figures: Quality
    auc_interval: tuple[float, float]
    ahead: float
    ahead_interval: tuple[float, float]

    def report(self) -> dict[str, object]:
        """Return the row as plain values."""
        return {
            "weights": self.weights,
            "population": self.population,
            **self.figures.report(),
            "auc_interval": [round_figure(end) for end in self.auc_interval],
            "ahead": round_figure(self.ahead),
            "ahead_interval": [round_figure(end) for end in self.ahead_interval],
        }


def compare(readings: Mapping[str, Sequence[Outcome]], populations: Sequence[str]) -> list[Row]:
    """Return a row for each population and network, and for all heads together where there are several populations.

    `readings` has, by the name of the weights, what they made of the same heads; `populations` [N] is where each head
    is from.
    """
    names = list(dict.fromkeys(populations))
    rows: list[Row] = []
    for name in [*names, EVERY] if len(names) > 1 else names:
        chosen = [i for i, population in enumerate(populations) if name in (population, EVERY)]
        rows += _rows(name, {weights: judge([told[i] for i in chosen]) for weights, told in readings.items()})
    return rows


def _rows(population: str, figures: Mapping[str, Quality]) -> list[Row]:
    """Return the rows of one population."""
    areas = {weights: resample_areas(one) for weights, one in figures.items()}
    first = next(iter(figures))
    return [
        Row(
            weights,
            population,
            one,
            _interval(areas[weights]),
            one.auc - figures[first].auc,
            _interval(areas[weights] - areas[first]),
        )
        for weights, one in figures.items()
    ]


def resample_areas(figures: Quality) -> NDArray[np.float64]:
    """Return areas under the ROC curve [RESAMPLES] of studies drawn again, the same draws for the same truths.

    They are NaN where no study has blood, or every one.
    """
    wins = figures.wins
    if not wins.size:
        return np.full(RESAMPLES, np.nan)
    rng = np.random.default_rng(1)
    draws = (tuple(rng.integers(0, count, count) for count in wins.shape) for _ in range(RESAMPLES))
    return np.array([wins[np.ix_(*drawn)].mean() for drawn in draws])


def _interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """Return the ends of the middle 95 % of values [N]."""
    low, high = np.percentile(values, INTERVAL)
    return float(low), float(high)


def table(rows: Sequence[Row]) -> Table:
    """Return the rows as a table to print; networks are numbered, the caption says which is which."""
    weights = list(dict.fromkeys(row.weights for row in rows))
    several = len(weights) > 1
    key = "\n".join(f"{number}: {escape(name)}" for number, name in enumerate(weights, start=1))
    shown = Table(
        title="Simulated heads alone",
        caption=f"{key}\nintervals: 95 % of resampled heads; all else at a threshold fitted to the same heads",
        caption_justify="left",
    )
    shown.add_column("population")
    for heading in ("network", "heads", "with blood"):
        shown.add_column(heading, justify="right")
    shown.add_column("AUC", no_wrap=True)
    if several:
        shown.add_column("ahead of 1", no_wrap=True)
    shown.add_column("sens. / spec.", no_wrap=True)
    shown.add_column("Dice " + " / ".join(str(kind).upper() for kind in TYPES))
    for row in rows:
        figures = row.figures
        shown.add_row(
            row.population,
            str(1 + weights.index(row.weights)),
            str(len(figures.scores)),
            str(int((figures.truths > 0).sum())),
            f"{figures.auc:.2f} ({_ends(row.auc_interval, '.2f')})",
            *(
                [f"{row.ahead:+.2f} ({_ends(row.ahead_interval, '+.2f')})" if row.weights != weights[0] else ""]
                * several
            ),
            f"{figures.sensitivity(figures.threshold):.2f} / {figures.specificity(figures.threshold):.2f}",
            " / ".join(f"{value:.2f}" for value in figures.dice.values()),
        )
    return shown


def _ends(interval: tuple[float, float], form: str) -> str:
    """Return an interval in words."""
    return f"{interval[0]:{form}} to {interval[1]:{form}}"
