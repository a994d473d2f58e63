# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The figures of the ceiling as tables that people read."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from appliance.reading.contract import MAX_DETECTIONS, TYPES, SizeClass
from training.ceiling.cost import mask_head_gflop
from training.ceiling.figures import BARS, Figures, Spread
from training.ceiling.passage import Choice, Stage
from training.network.variants import VARIANTS


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    return table


def _figure(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3f}"


def _spread(spread: Spread) -> str:
    return f"{spread.mean:.3f} ± {spread.deviation:.3f}, {spread.lowest:.3f}" if spread.count else "–"


def show(console: Console, taught: Figures, choices: list[tuple[Choice, Figures]]) -> None:
    """Print the figures of what is taught today, and of all choices beside one another."""
    dice = _table(
        "Dice of a detector that makes no mistake (mean ± standard deviation, lowest)",
        "type", "studies", "per study", "bar", "slices", "per slice",
    )  # fmt: skip
    for kind in TYPES:
        study, slices = taught.per_study[kind], taught.per_slice[kind]
        dice.add_row(
            kind.display, str(study.count), _spread(study), f"{BARS[kind]:.2f}", str(slices.count), _spread(slices)
        )
    console.print(dice)

    rising = tuple(reversed(SizeClass))
    sizes = _table("By size of the study's blood: mean Dice (studies), and boxes", "", *rising)
    for kind in TYPES:
        of_size = [taught.by_size[kind][size] for size in rising]
        sizes.add_row(kind.display, *(f"{_figure(one.mean)} ({one.count})" for one in of_size))
    sizes.add_row("boxes", *(str(taught.pieces[size]) for size in rising))
    sizes.add_row("with a positive anchor", *(_share(taught.anchored[size]) for size in rising))
    sizes.add_row("… after sampling 256", *(_share(taught.asked[size]) for size in rising))
    console.print(sizes)

    steps = _table("What is left after each step: mean Dice per study", "step", *(kind.display for kind in TYPES))
    for step in Stage:
        steps.add_row(str(step), *(_figure(taught.by_step[kind][step]) for kind in TYPES))
    console.print(steps)

    others = _table(
        f"Choices: mean Dice per study, longest lists (a chunk holds {MAX_DETECTIONS}), the mask head's GFLOP a chunk",
        "choice", *(kind.display for kind in TYPES), "a slice", "a chunk",
        *VARIANTS,
    )  # fmt: skip
    for choice, figures in choices:
        others.add_row(
            choice.name,
            *(_figure(figures.per_study[kind].mean) for kind in TYPES),
            str(figures.most_pieces),
            str(figures.most_listed),
            *(f"{mask_head_gflop(variant, choice.mask_size):.1f}" for variant in VARIANTS.values()),
        )
    console.print(others)


def show_thin(console: Console, dice: dict[str, dict[str, float]]) -> None:
    """Print the Dice of thin shapes by choice."""
    shapes = list(next(iter(dice.values())))
    table = _table("Thin blood, drawn by formula: Dice on its slice", "choice", *shapes)
    for choice, of_shape in dice.items():
        table.add_row(choice, *(_figure(of_shape[shape]) for shape in shapes))
    console.print(table)


def _share(share: float) -> str:
    return "–" if math.isnan(share) else f"{share:.1%}"
