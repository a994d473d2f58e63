# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""The dashboard as a picture, drawn from what a Prometheus answers to the panels' queries.

Grafana is not needed for it. The panels lie as Grafana lays them out; its fonts and legends are its own.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

from deploy.grafana.panels import INTERVAL, ROWS, Kind, Panel, Query, Row, Unit

POINTS: Final = 240
COLOURS: Final = {"green": "#2e7d32", "orange": "#e65100", "red": "#c62828"}
_NUMBER_HEIGHT: Final = 4
_LINES_HEIGHT: Final = 8
_INCHES: Final = (16.0 / 24, 0.27)  # of a column, and of a step of height


@dataclass(frozen=True)
class Line:
    """One line of a panel: its name, times [N] in Unix seconds, values [N] in the panel's unit."""

    name: str
    times: np.ndarray[Any, Any]
    values: np.ndarray[Any, Any]


@dataclass(frozen=True)
class Source:
    """A Prometheus, and the span that is asked for: seconds up to now, and the seconds that a rate looks back."""

    url: str
    span_s: float
    rate_s: int = 60
    start: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", time.time() - self.span_s)

    @property
    def step_s(self) -> float:
        """Seconds between two values of a line."""
        return max(1.0, self.span_s / POINTS)

    def ask(self, query: Query) -> list[Line]:
        """Return the lines of a query.

        Raises
        ------
        httpx.HTTPError
            If Prometheus does not answer, or refuses the query.
        """
        answer = httpx.get(
            f"{self.url.rstrip('/')}/api/v1/query_range",
            params={
                "query": query.expression.replace(INTERVAL, f"{self.rate_s}s"),
                "start": self.start,
                "end": self.start + self.span_s,
                "step": self.step_s,
            },
            timeout=30,
            trust_env=False,
        ).raise_for_status()
        return [_line(query, one) for one in answer.json()["data"]["result"]]


def _line(query: Query, series: Mapping[str, Any]) -> Line:
    times, values = np.array(series["values"], dtype=object).T
    name = query.legend
    for label, value in series["metric"].items():
        name = name.replace("{{" + label + "}}", value)
    return Line(name, times.astype(float), values.astype(float))


def draw(source: Source, path: Path, title: str) -> None:
    """Draw the dashboard into a PNG file.

    Raises
    ------
    httpx.HTTPError
        If Prometheus does not answer, or refuses a query.
    """
    heights = [_height(row) + 1 for row in ROWS for _ in range(_lines_of(row.panels))]
    whole = sum(heights) + 3 + 0.6 * len(ROWS)
    figure = plt.figure(figsize=(24 * _INCHES[0], whole * _INCHES[1]), layout=None)
    figure.text(0.01, 1 - 0.9 / whole, title, fontsize=13, weight="bold", va="center")
    top = 2.0
    for row in ROWS:
        figure.text(0.01, 1 - (top + 0.2) / whole, row.title, fontsize=11, color="#555555", va="center")
        left, height = 0, _height(row)
        for panel in row.panels:
            if left + panel.width > 24:
                left, top = 0, top + height + 1
            box = (left / 24 + 0.025, 1 - (top + height) / whole, panel.width / 24 - 0.035, (height - 1.4) / whole)
            axes = figure.add_axes(box)
            lines = [line for query in panel.queries for line in source.ask(query)]
            if panel.kind is Kind.NUMBER:
                _draw_number(axes, panel, lines)
            else:
                _draw_lines(axes, panel, lines, source)
            left += panel.width
        top += height + 1.6
    figure.savefig(path, dpi=80)
    plt.close(figure)


def _height(row: Row) -> int:
    """Return the height of a row's panels: that of the tallest, so that a number beside lines squeezes none."""
    return max(_NUMBER_HEIGHT if panel.kind is Kind.NUMBER else _LINES_HEIGHT for panel in row.panels)


def _lines_of(panels: tuple[Panel, ...]) -> int:
    """Return how many lines of the page the panels of a row take."""
    return math.ceil(sum(panel.width for panel in panels) / 24)


def _draw_number(axes: Any, panel: Panel, lines: list[Line]) -> None:
    axes.set_axis_off()
    axes.set_title(panel.title, fontsize=9, loc="left")
    known = [line.values[-1] for line in lines if np.isfinite(line.values[-1])]
    text, colour = "no data", "#777777"
    if known:
        text = _format_value(known[0], panel.unit)
        colour = COLOURS[panel.colours[sum(known[0] >= limit for limit in panel.limits)]]
    axes.text(0.0, 0.45, text, fontsize=22, color=colour, va="center", transform=axes.transAxes)


def _format_value(value: float, unit: Unit) -> str:
    """Return a number as a reader sees it."""
    match unit:
        case Unit.YES_NO:
            return "yes" if value else "no"
        case Unit.SHARE:
            return f"{100 * value:.3g} %"
        case Unit.SECONDS:
            return f"{value:.1f} s"
        case Unit.BYTES:
            return f"{value / 1e9:.1f} GB"
    return f"{value:.3g}"


def _draw_lines(axes: Any, panel: Panel, lines: list[Line], source: Source) -> None:
    axes.set_title(f"{panel.title} ({_axis(panel.unit)})", fontsize=9, loc="left")
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.tick_params(labelsize=7)
    axes.set_xlim(-source.span_s / 60, 0)
    axes.set_xlabel("minutes", fontsize=7, loc="right", labelpad=1)
    factor = {Unit.SHARE: 100.0, Unit.BYTES: 1e-9}.get(panel.unit, 1.0)
    drawn = [line for line in lines if np.isfinite(line.values).any()]
    if not drawn:
        axes.text(0.5, 0.5, "nothing so far", ha="center", color="#777777", transform=axes.transAxes)
        return
    if panel.kind is Kind.STACK:
        # Prometheus gives every line the same times; where a line has none, nothing happened.
        times = np.arange(source.start, source.start + source.span_s + source.step_s, source.step_s)
        drawn = [line for line in drawn if np.nan_to_num(line.values).any()] or drawn
        heights = [_heights(line, source, len(times)) for line in drawn]
        axes.stackplot(
            _minutes(times, source), np.array(heights) * factor, labels=[line.name for line in drawn], alpha=0.6
        )
    else:
        for line in drawn:
            axes.plot(_minutes(line.times, source), line.values * factor, label=line.name, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, loc="upper left", framealpha=0.8)


def _heights(line: Line, source: Source, count: int) -> np.ndarray[Any, Any]:
    """Return a line's values [count] at every time of the span, 0 where it has none."""
    heights = np.zeros(count)
    heights[np.rint((line.times - source.start) / source.step_s).astype(int)] = np.nan_to_num(line.values)
    return heights


def _minutes(times: np.ndarray[Any, Any], source: Source) -> np.ndarray[Any, Any]:
    """Return times [N] in minutes up to the end of the span, negative."""
    minutes: np.ndarray[Any, Any] = (times - source.start - source.span_s) / 60
    return minutes


def _axis(unit: Unit) -> str:
    return {Unit.SECONDS: "s", Unit.SHARE: "%", Unit.BYTES: "GB"}.get(unit, "number")
