# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The log of a training run: losses and validations over its steps, as a table and as a plot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.table import Table

LOG: Final = "log.jsonl"
"""The name of a run's log, one JSON object a line: `step`, `seconds`, and mean losses or a `validation`."""
SHOWN_TERMS: Final = ("total", "objectness", "class", "mask", "dense")


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a log; a truncated line is left out, and a missing file is an empty log."""
    found = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def table(lines: Sequence[dict[str, Any]], rows: int = 20) -> Table:
    """Return a table of a log: losses are means since the row above, validations have rows of their own."""
    shown = Table(title="Simulated heads alone")
    for heading in ("step", "hours", *SHOWN_TERMS, "AUC", "sensitivity", "specificity", "Dice"):
        shown.add_column(heading, justify="right")
    losses = [line for line in lines if "total" in line]
    several = max(1, -(-len(losses) // rows))
    dated = [
        (losses[min(i + several, len(losses)) - 1], losses[i : i + several]) for i in range(0, len(losses), several)
    ]
    dated += [(line, []) for line in lines if "validation" in line]
    for line, averaged in sorted(dated, key=lambda one: (one[0]["step"], not one[1])):
        figures = line.get("validation") or {}
        means = [_mean([one[name] for one in averaged if name in one]) for name in SHOWN_TERMS]
        dice = " / ".join(_figure(value) for value in figures.get("dice", {}).values())
        said = [_figure(figures.get(name)) for name in ("auc", "sensitivity", "specificity")]
        shown.add_row(str(line["step"]), f"{line['seconds'] / 3600:.2f}", *means, *said, dice)
    return shown


def draw(lines: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw losses and validations over the steps into a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    above, below = figure.subplots(2, sharex=True)
    losses = [line for line in lines if "total" in line]
    for name in SHOWN_TERMS:
        steps = [line["step"] for line in losses if name in line]
        if steps:
            above.plot(steps, [line[name] for line in losses if name in line], label=name, linewidth=0.8)
    above.set(ylabel="loss, mean of 50 steps", yscale="log", title="Training run (simulated heads alone)")
    judged = [line for line in lines if "validation" in line]
    for name in ("auc", "sensitivity", "specificity"):
        below.plot(*_line(judged, lambda figures, name=name: figures.get(name)), marker="o", label=name)
    for kind in judged[-1]["validation"]["dice"] if judged else ():
        curve = _line(judged, lambda figures, kind=kind: figures["dice"].get(kind))
        below.plot(*curve, marker=".", linestyle="--", label=f"Dice {kind}")
    below.set(xlabel="step", ylabel="validation", ylim=(0, 1.02))
    for axes in (above, below):
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend(fontsize=8, ncols=3)
    figure.savefig(path, dpi=110)


def _line(judged: Sequence[dict[str, Any]], figure: Any) -> tuple[list[int], list[float]]:
    """Return steps and values of a figure of the validations, without those that have none."""
    values = [(line["step"], figure(line["validation"])) for line in judged]
    return [step for step, value in values if value is not None], [value for _, value in values if value is not None]


def _mean(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f}" if values else ""


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
