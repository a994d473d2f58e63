# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is kept of a run: its figures, a table of what happened when, and a picture of how fast the allowance went."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

from tests.objective.run import FAST, SLOW, WINDOWS, Asked, Seen, faults

ALLOWED: Final = 0.01
"""The share of answers that may be late."""
LATE_S: Final = 60.0
_BURN: Final = {"1h": 14.4, "6h": 6.0}
_SHOWN: Final = (FAST, SLOW)


def figures(seen: Seen, asked: Asked, commit: str) -> dict[str, Any]:
    """Return the figures of a run for a program; times are seconds from its beginning."""
    turnarounds = [
        (uid, record["turnaround_s"]) for uid, record in seen.records.items() if record.get("turnaround_s") is not None
    ]
    return {
        "commit": commit,
        "asked": vars(asked),
        "killed_s": seen.killed - seen.begun,
        "back_s": seen.back - seen.begun,
        "ended_s": seen.ended - seen.begun,
        "sent": len(seen.sent),
        "answered": sum(record["state"] == "done" for record in seen.records.values()),
        "late": sum(turnaround > LATE_S for _, turnaround in turnarounds),
        "longest_turnaround_s": max((turnaround for _, turnaround in turnarounds), default=None),
        "turnarounds": sorted(
            [round(seen.sent[uid] - seen.begun, 1), round(turnaround, 1)]
            for uid, turnaround in turnarounds
            if uid in seen.sent
        ),
        "alerts": {
            name: {state: [min(times) - seen.begun, max(times) - seen.begun] for state, times in states.items()}
            for name, states in sorted(seen.alerts.items())
        },
        "told": {name: [[at - seen.begun, state] for at, state in told] for name, told in seen.told.items()},
        "late_share": {
            window: [[round(at - seen.begun, 2), value] for at, value in values] for window, values in seen.late.items()
        },
        "faults": faults(seen),
    }


def markdown(seen: Seen, asked: Asked) -> str:
    """Return the table of what happened when, in minutes and seconds from the beginning."""
    moments = [
        (seen.killed, "Triton is killed"),
        (seen.back, "Triton is back"),
        *((at, f"{name}: {state}, told by Alertmanager") for name, told in seen.told.items() for at, state in told),
    ]
    for name, states in seen.alerts.items():
        moments += [(min(times), f"{name}: {state} in Prometheus") for state, times in states.items()]
    rows = [f"| {_clock(at - seen.begun)} | {said} |" for at, said in sorted(moments)]
    late = [record for record in seen.records.values() if (record.get("turnaround_s") or 0) > LATE_S]
    said = (
        f"{len(seen.sent)} studies, one every {asked.every_s:g} s; {len(late)} were answered after more than a minute"
    )
    return "\n".join([said, "", "| min:s | what |", "|---|---|", *rows]) + "\n"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def draw(seen: Seen, asked: Asked, file: Path) -> None:
    """Draw turnarounds, burn rates with the alerts' bounds, and the alerts of a run into a PNG file."""
    figure, (studies, burning, alerts) = plt.subplots(
        3, 1, figsize=(11, 9), sharex=True, height_ratios=(2, 3, 2), layout="constrained"
    )
    figure.suptitle(
        f"Turnaround and its alerts while Triton is away; rules {asked.factor:g} times as fast; simulated heads",
        fontsize=11,
    )
    _draw_studies(studies, seen)
    _draw_burn(burning, seen, asked)
    _draw_alerts(alerts, seen)
    for axes in (studies, burning, alerts):
        axes.axvspan((seen.killed - seen.begun) / 60, (seen.back - seen.begun) / 60, color="#eceff1", zorder=0)
        axes.grid(color="#e0e0e0", linewidth=0.6)
    alerts.set_xlabel("minutes; grey: Triton is away")
    alerts.set_xlim(0, (seen.ended - seen.begun) / 60)
    figure.savefig(file, dpi=90)
    plt.close(figure)


def _draw_studies(axes: Any, seen: Seen) -> None:
    known = [
        ((seen.sent[uid] - seen.begun) / 60, record["turnaround_s"])
        for uid, record in seen.records.items()
        if uid in seen.sent and record.get("turnaround_s")
    ]
    for colour, late in (("#2e7d32", False), ("#c62828", True)):
        points = [point for point in known if (point[1] > LATE_S) is late]
        label = f"{len(points)} {'late' if late else 'in time'}"
        axes.plot(*zip(*points, strict=True) if points else ([], []), "o", markersize=4, color=colour, label=label)
    axes.axhline(LATE_S, color="#555555", linewidth=0.8, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylabel("turnaround, s,\nby time of arrival")
    axes.legend(loc="upper right", fontsize=8)


def _draw_burn(axes: Any, seen: Seen, asked: Asked) -> None:
    for window, colour in zip(WINDOWS, ("#90caf9", "#ffcc80", "#1565c0", "#e65100"), strict=True):
        values = _with_gaps(seen.late[window], 3 * max(0.2, 15 / asked.factor))
        seconds = {"m": 60, "h": 3600}[window[-1]] * int(window[:-1]) / asked.factor
        label = f"{window} (here {_clock(seconds)})"
        axes.plot(
            [(at - seen.begun) / 60 for at, _ in values],
            [share / ALLOWED for _, share in values],
            color=colour,
            label=label,
            linewidth=2.0 if window.endswith("h") else 1.2,
        )
    for window, burn in _BURN.items():
        axes.axhline(burn, color="#1565c0" if window == "1h" else "#e65100", linewidth=0.9, linestyle="--")
        axes.text(0.05, burn + 1, f"bound {burn:g}", fontsize=7, color="#555555")
    axes.set_ylabel("burn rate: share late / 0.01")
    axes.set_ylim(-2, 105)
    for name, colour in ((FAST, "#1565c0"), (SLOW, "#e65100")):
        for at, state in seen.told.get(name, []):
            axes.axvline((at - seen.begun) / 60, color=colour, linewidth=1.0)
            word = "page" if name == FAST else "ticket"
            axes.text((at - seen.begun) / 60, 101, f" {word} {state}", fontsize=8, color=colour, rotation=90, va="top")
    axes.legend(loc="center left", fontsize=8, title="window", title_fontsize=8)


def _with_gaps(values: list[tuple[float, float]], longest_s: float) -> list[tuple[float, float]]:
    """Return the values with NaN where there was none for longer, so that no line crosses a time without answers."""
    shown: list[tuple[float, float]] = []
    for at, value in values:
        if shown and at - shown[-1][0] > longest_s:
            shown.append((at, float("nan")))
        shown.append((at, value))
    return shown


def _draw_alerts(axes: Any, seen: Seen) -> None:
    names = sorted(seen.alerts, key=lambda name: (name not in _SHOWN, name))
    for row, name in enumerate(names):
        for state, colour in (("pending", "#ffb300"), ("firing", "#c62828")):
            times = [(at - seen.begun) / 60 for at in seen.alerts[name].get(state, [])]
            axes.plot(times, [row] * len(times), "s", markersize=5, color=colour)
    axes.set_yticks(range(len(names)), [name.removeprefix("Hemorrhage") for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_title("alerts in Prometheus: yellow pending, red firing", fontsize=9, loc="left")
