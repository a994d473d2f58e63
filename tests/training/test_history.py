# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""What is shown of a run's log."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from training.history import LOG, draw, entries, table

FIGURES = {"auc": 0.75, "sensitivity": None, "specificity": 0.5, "dice": {"iph": 0.5, "edh_sdh": 0.25, "sah": None}}


def log(folder: Path) -> Path:
    lines = [{"step": 50 * i, "seconds": 36.0 * i, "total": 2.0 - i / 100, "mask": 0.5} for i in range(1, 101)]
    lines.append({"step": 5000, "seconds": 3600.0, "validation": FIGURES})
    path = folder / LOG
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 5050, "sec')
    return path


def test_a_line_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    lines = entries(log(tmp_path))
    assert len(lines) == 101
    assert lines[-1]["step"] == 5000
    assert entries(tmp_path / "none.jsonl") == []


def test_losses_are_averaged_between_the_rows_and_validations_have_their_own(tmp_path: Path) -> None:
    shown = table(entries(log(tmp_path)), rows=4)
    console = Console(width=150, record=True, file=(tmp_path / "out").open("w"))
    console.print(shown)
    text = console.export_text()
    rows = [line for line in text.splitlines() if "│" in line]
    assert len(rows) == 5
    assert "1250" in rows[0]
    assert "1.870" in rows[0]  # mean of 1.99 .. 1.75
    assert "0.750" in rows[-1]
    assert "0.500 / 0.250 /" in rows[-1]


def test_the_plot_is_drawn_even_of_an_empty_log(tmp_path: Path) -> None:
    for name, lines in (("full", entries(log(tmp_path))), ("empty", [])):
        draw(lines, tmp_path / f"{name}.png")
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
