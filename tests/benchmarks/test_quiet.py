# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
"""One run of all timings: what is there is kept, and every table says when, where and beside what it was made."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks import quiet
from benchmarks.quiet import PARTS, Part, busy_cores, document, markdown, run


def tables(figures: dict[str, Any]) -> Iterable[Table]:
    table = Table("way", "s", title="how fast", caption="peak 1 MiB")
    table.add_row("in process", f"{figures['seconds']:.2f}")
    return [table]


def part(name: str, code: str) -> Part:
    return Part(name, (sys.executable, "-c", code), 1, tables)


def test_a_part_that_failed_is_run_again_and_one_that_is_there_is_not(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    good = part("good", f"open({str(mark)!r}, 'a').write('x'); print('{{\"seconds\": 0.5}}')")
    parts = [good, part("bad", "raise SystemExit(3)"), part("odd", "print('no JSON')")]
    console = Console(file=(tmp_path / "said").open("w"))
    out = tmp_path / "out"
    assert run(parts, out, console) == ["bad", "odd"]
    assert run(parts, out, console) == ["bad", "odd"]
    assert mark.read_text() == "x"
    assert [path.name for path in out.iterdir()] == ["good.json"]


def test_a_part_that_needs_what_the_cpu_lacks_is_left_out(tmp_path: Path) -> None:
    good = dataclasses.replace(part("good", "print('{\"seconds\": 0.5}')"), needs="no_such_flag")
    assert run([good], tmp_path, Console(quiet=True)) == []
    assert list(tmp_path.iterdir()) == []


def test_what_an_older_version_kept_is_made_again(tmp_path: Path) -> None:
    good = part("good", "print('{\"seconds\": 0.5}')")
    (tmp_path / "good.json").write_text(json.dumps({"load": [0.1, 0.2], "figures": {"seconds": 1.0}}))
    assert document([good], tmp_path) == "\n"
    assert run([good], tmp_path, Console(quiet=True)) == []
    assert "0.50" in document([good], tmp_path)


def test_busy_cores_are_counted_on_this_machine() -> None:
    assert 0 <= busy_cores(0.05) <= (os.cpu_count() or 1)


def test_no_more_cores_are_busy_than_there_are_though_the_count_of_idle_time_goes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    counts = iter([5.0, 4.0])
    monkeypatch.setattr(quiet, "_idle_s", lambda: next(counts))
    assert busy_cores(0.01) == (os.cpu_count() or 1)


def test_each_table_stands_with_its_command_date_cpu_and_busy_cores(tmp_path: Path) -> None:
    good = part("good", "print('{\"seconds\": 0.5}')")
    run([good], tmp_path, Console(quiet=True))
    kept = json.loads((tmp_path / "good.json").read_text())
    text = document([good, part("missing", "")], tmp_path)
    assert f"{kept['made'][:10]}, {kept['cpu']}, {kept['cores']} cores, {kept['busy_cores']:g} of them busy" in text
    assert text.endswith("how fast\n\n| way | s |\n|---|---|\n| in process | 0.50 |\n\npeak 1 MiB\n")
    (tmp_path / "good.json").write_text(json.dumps(kept | {"busy_cores": 1.7}))
    assert "**other work ran beside it.**" in document([good], tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(kept | {"busy_cores": 0.1}))
    assert "other work" not in document([good], tmp_path)


def test_every_benchmarks_own_table_becomes_markdown() -> None:
    times = {"p50": 0.4, "min": 0.3, "max": 0.5}
    ways = {"in process": {"seconds": times, "ratio": times}}
    figures = {
        "threads": 2,
        "instructions": "AVX2",
        "engine": "openvino-int8",
        "engines": ways,
        "triton": {"ways": ways, "server_peak_mib": 549.0},
        "long": ways,
        "peak_mib": {"openvino-int8": {"32": 400.0, "320": 410.0}},
    }
    network = next(one for one in PARTS if one.name == "network")
    text = "\n".join(map(markdown, network.tables(figures)))
    assert "| in process | 0.400 | 0.300 | 0.500 | 0.400 | 0.300 | 0.500 |" in text
    assert "| openvino-int8 | 400 | 410 |" in text
